import io
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from irp_kedro.datasets import archive_safety
from irp_kedro.datasets.archive import SUFFIXES
from irp_kedro.datasets.download import extract_archive
from irp_kedro.errors import DownloadError, SourceError

FILES = {"set/train/a.png": b"a" * 3000, "set/test/b.png": bytes(range(256)) * 20}


Write = Callable[[Path], Path]


def write_zip(path: Path, files: dict[str, bytes] = FILES) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def write_tar(path: Path, *extra: tarfile.TarInfo) -> Path:
    mode = {".gz": "w:gz", ".tgz": "w:gz", ".xz": "w:xz"}.get(path.suffix, "w")
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in FILES.items():
            archive.addfile(sized(tarfile.TarInfo(name), len(content)), io.BytesIO(content))
        for member in extra:
            archive.addfile(member, io.BytesIO(b"evil"[: member.size]))
    return path


def sized(member: tarfile.TarInfo, size: int) -> tarfile.TarInfo:
    member.size = size
    return member


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def is_clean(tmp_path: Path, archive: Path) -> bool:
    """Whether nothing but the archive and a lock lies in the folder and beside it."""
    return [path.name for path in tmp_path.rglob("*") if not path.name.endswith(".lock")] == [archive.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_known_archive_is_unpacked(tmp_path: Path, suffix: str) -> None:
    write: Write = write_zip if suffix == ".zip" else write_tar
    archive = write(tmp_path / f"set{suffix}")
    assert contents(extract_archive(archive, tmp_path / "out" / "set")) == FILES


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tgz", ".tar.xz"])
def test_an_archive_without_suffix_is_known_by_its_contents(tmp_path: Path, suffix: str) -> None:
    write: Write = write_zip if suffix == ".zip" else write_tar
    archive = write(tmp_path / f"set{suffix}").rename(tmp_path / "set")
    assert contents(extract_archive(archive, tmp_path / "out")) == FILES


@pytest.mark.parametrize("name", ["set.rar", "set"])
def test_another_kind_of_file_is_refused_with_the_known_kinds(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"Rar!")
    with pytest.raises(SourceError, match=r"known: \.zip, \.tar, .*dataset\.path=FOLDER"):
        extract_archive(tmp_path / name, tmp_path / "out")


def test_a_missing_archive_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no archive '.*set\.zip'"):
        extract_archive(tmp_path / "set.zip", tmp_path / "out")


def test_a_second_extraction_does_nothing(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "set.zip")
    into = extract_archive(archive, tmp_path / "out")
    (into / "set" / "mine.txt").write_text("kept")
    extract_archive(archive, tmp_path / "out")
    assert (into / "set" / "mine.txt").exists()


def test_another_archive_replaces_what_the_first_left(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "set.zip")
    extract_archive(archive, tmp_path / "out")
    write_zip(archive, {"new.png": b"new"})
    assert contents(extract_archive(archive, tmp_path / "out")) == {"new.png": b"new"}


def test_an_extraction_that_was_killed_is_done_again(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "set.zip")
    (tmp_path / ".out.part").mkdir()
    (tmp_path / ".out.part" / "half.png").write_bytes(b"")
    assert contents(extract_archive(archive, tmp_path / "out")) == FILES
    assert not (tmp_path / ".out.part").exists()


def test_a_folder_of_other_files_is_left_alone(tmp_path: Path) -> None:
    archive = write_zip(tmp_path / "set.zip")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("kept")
    with pytest.raises(SourceError, match="holds other files"):
        extract_archive(archive, tmp_path / "out")
    assert (tmp_path / "out" / "mine.txt").exists()


@pytest.mark.parametrize(
    "name",
    ["../evil.png", "set/../../evil.png", "/evil.png", "C:evil.png", "C:/evil.png", "set\\..\\..\\evil.png"],
)
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_a_member_that_leaves_the_folder_is_refused_before_any_is_written(
    tmp_path: Path, kind: str, name: str
) -> None:
    if kind == "zip":
        archive = write_zip(tmp_path / "set.zip", {**FILES, name: b"evil"})
    else:
        archive = write_tar(tmp_path / "set.tar", sized(tarfile.TarInfo(name), 4))
    with pytest.raises(SourceError) as caught:
        extract_archive(archive, tmp_path / "out")
    assert f"holds '{name}'" in str(caught.value)
    assert is_clean(tmp_path, archive)


@pytest.mark.parametrize(
    "member",
    [
        link("set/evil", "/etc/passwd"),
        link("set/evil", "../../evil"),
        link("set/evil", "train/../../../evil"),
        link("set/evil", "../evil", tarfile.LNKTYPE),
        link("set/evil", "/etc/passwd", tarfile.LNKTYPE),
        link("set/evil", "", tarfile.CHRTYPE),
        link("set/evil", "", tarfile.BLKTYPE),
        link("set/evil", "", tarfile.FIFOTYPE),
    ],
    ids=lambda member: f"{member.type!r} {member.linkname}",
)
def test_links_to_the_outside_and_devices_are_refused(tmp_path: Path, member: tarfile.TarInfo) -> None:
    archive = write_tar(tmp_path / "set.tar.gz", member)
    with pytest.raises(SourceError, match="holds 'set/evil'"):
        extract_archive(archive, tmp_path / "out")
    assert is_clean(tmp_path, archive)


def test_links_that_lead_downwards_are_kept(tmp_path: Path) -> None:
    archive = write_tar(
        tmp_path / "set.tar", link("set/l", "train/a.png"), link("set/h", "set/test/b.png", tarfile.LNKTYPE)
    )
    into = extract_archive(archive, tmp_path / "out")
    assert (into / "set" / "l").readlink() == Path("train/a.png")
    assert (into / "set" / "h").read_bytes() == FILES["set/test/b.png"]


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("set/evil")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(SourceError, match="'set/evil', which is neither a file nor a folder"):
        extract_archive(tmp_path / "set.zip", tmp_path / "out")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.9, 0.999])
def test_a_truncated_archive_is_reported_and_leaves_nothing(tmp_path: Path, suffix: str, share: float) -> None:
    write: Write = write_zip if suffix == ".zip" else write_tar
    archive = write(tmp_path / f"set{suffix}")
    whole = archive.read_bytes()
    if suffix == ".tar":
        whole = whole[: 512 * 18]  # two headers and the files, without the zeros that close it
    archive.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(DownloadError, match=r"incomplete or damaged: delete it and run again"):
        extract_archive(archive, tmp_path / "out")
    assert is_clean(tmp_path, archive)


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz", ".tar.xz"])
def test_damage_in_the_middle_is_reported_and_leaves_nothing(tmp_path: Path, suffix: str) -> None:
    write: Write = write_zip if suffix == ".zip" else write_tar
    archive = write(tmp_path / f"set{suffix}")
    whole = bytearray(archive.read_bytes())
    middle = len(whole) // 3
    whole[middle : middle + 8] = bytes(byte ^ 255 for byte in whole[middle : middle + 8])
    archive.write_bytes(whole)
    with pytest.raises(DownloadError, match="incomplete or damaged"):
        extract_archive(archive, tmp_path / "out")
    assert is_clean(tmp_path, archive)


def test_a_damaged_header_inside_a_tar_is_not_taken_for_its_end(tmp_path: Path) -> None:
    archive = write_tar(tmp_path / "set.tar")
    whole = bytearray(archive.read_bytes())
    whole[whole.index(b"set/test/b.png")] ^= 1
    archive.write_bytes(whole)
    with pytest.raises(DownloadError, match="damaged"):
        extract_archive(archive, tmp_path / "out")


def test_an_archive_larger_than_the_disk_is_refused_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = write_zip(tmp_path / "set.zip")
    usage = shutil.disk_usage(tmp_path)._replace(free=5)
    monkeypatch.setattr(archive_safety.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(SourceError, match=r"unpacks to .* GB left"):
        extract_archive(archive, tmp_path / "out")
    assert is_clean(tmp_path, archive)
