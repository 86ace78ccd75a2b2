import logging
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from irp_kedro.errors import LineageError
from irp_kedro.lineage.rebuilding import rebuild
from irp_kedro.lineage.store import StoreSettings, file_md5, md5, open_store, read_pointer

PROJECT = Path(__file__).parents[2]
Shell = Callable[..., str]


def is_ignored(path: Path, repository: Path, shell: Shell) -> bool:
    """Ask git; it answers with a name or with status 1."""
    try:
        return shell("git", "check-ignore", "--no-index", str(path), folder=repository) != ""
    except AssertionError:
        return False


def test_git_sees_pointers_and_records_and_nothing_that_dvc_would_check_out(
    chain: Any, repository: Path, shell: Shell
) -> None:
    chain.tell()
    first = chain.folder / "cycle_000"
    written = [*first.iterdir(), chain.folder / ".gitignore"]
    assert sorted(path.name for path in written) == [
        ".gitignore",
        "contents.csv.dvc",
        "images.dvc",
        "lineage.json",
        "removals.csv.dvc",
    ]
    assert [path.name for path in written if is_ignored(path, repository, shell)] == []
    (first / "images").mkdir()
    left = (chain.folder / ".lock", chain.folder / ".cycle_001.x.tmp", chain.folder / ".cycle_001.old")
    for path in (first / "images", first / "removals.csv", first / "contents.csv", *left):
        assert is_ignored(path, repository, shell), path


def test_git_sees_the_plain_files_of_a_plain_chain(
    repository: Path, training: pd.DataFrame, new_chain: Any, shell: Shell
) -> None:
    chain = new_chain(repository / "lineage", training, mode="plain")
    chain.tell()
    assert sorted(path.name for path in (chain.folder / "cycle_000").iterdir()) == [
        "contents.csv",
        "images.json",
        "lineage.json",
        "removals.csv",
    ]
    shown = shell("git", "ls-files", "--others", "--exclude-standard", "lineage", folder=repository)
    files = {path.relative_to(repository).as_posix() for path in chain.folder.rglob("*") if path.is_file()}
    assert files - set(shown.split()) == {"lineage/cell/iterative_refinement/.lock"}


@pytest.mark.parametrize("rule", ["lineage/", "*.dvc", "lin*/**", "/lineage/*/strategy"])
def test_a_folder_that_git_ignores_is_refused(repository: Path, rule: str) -> None:
    (repository / ".gitignore").write_text(f"{rule}\n")
    with pytest.raises(LineageError, match=r"git ignores what lies in lineage\.root '.*/lineage'"):
        open_store(repository / "lineage", StoreSettings())
    open_store(repository / "lineage", StoreSettings(mode="plain"))


@pytest.mark.parametrize("rule", ["lineage", "*.dvc"])
@pytest.mark.parametrize("git", ["with git", "without git"])
def test_a_folder_that_dvc_ignores_is_refused(repository: Path, rule: str, git: str) -> None:
    (repository / ".dvcignore").write_text(f"{rule}\n")
    if git == "without git":
        shutil.rmtree(repository / ".git")
    with pytest.raises(LineageError, match=r"DVC ignores what lies in lineage\.root '.*/lineage'"):
        open_store(repository / "lineage", StoreSettings())


def test_this_project_s_own_rules_let_dvc_see_every_pointer_of_the_default_folder(
    repository: Path, training: pd.DataFrame, new_chain: Any
) -> None:
    from dvc.repo import Repo

    for name in (".gitignore", ".dvcignore"):
        shutil.copy(PROJECT / name, repository / name)
    chain = new_chain(repository / "data" / "lineage", training)
    chain.tell()
    with Repo(str(repository)) as repo:
        seen = {Path(stage.path) for stage in repo.index.stages}
    assert seen == set(chain.folder.rglob("*.dvc"))
    assert len(seen) == 11


def test_a_folder_outside_any_dvc_repository_is_refused(tmp_path: Path) -> None:
    message = r"lineage\.root '.*/lineage' lies in no DVC repository.*--params lineage\.mode=plain"
    with pytest.raises(LineageError, match=message):
        open_store(tmp_path / "lineage", StoreSettings())


def test_a_dvc_folder_without_git_keeps_snapshots_and_warns(
    chain: Any, repository: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.rmtree(repository / ".git")
    with caplog.at_level(logging.WARNING, logger="irp_kedro.lineage.store"):
        chain.tell()
    (warning,) = [line for line in caplog.records if line.name == "irp_kedro.lineage.store"]
    assert f"'{repository}' is no git repository" in warning.getMessage()
    assert [len(rebuild(snapshot, chain.store)) for snapshot in chain.snapshots] == [5, 4, 3, 3, 4]


def test_images_are_copied_unless_links_are_asked_for(
    chain: Any, training: pd.DataFrame, new_chain: Any
) -> None:
    source = Path(chain.images[0].path)
    chain.save(0)
    place = chain.store.locate(chain.images[0])
    assert (place.read_text(), place.stat().st_ino == source.stat().st_ino) == ("a", False)
    place.unlink()
    linked = new_chain(chain.root, training, "cell/vanilla", link="hardlink")
    linked.save(0)
    assert linked.store.locate(linked.images[0]).stat().st_ino == source.stat().st_ino


def test_every_object_in_the_cache_is_read_only_as_dvc_s_own(chain: Any, repository: Path) -> None:
    chain.tell()
    objects = list((repository / ".dvc" / "cache" / "files" / "md5").glob("*/*"))
    assert len(objects) == 5 + 4 + 4 + 1  # images, sets, removals (twice nobody leaves), contents
    assert {path.stat().st_mode & 0o777 for path in objects} == {0o444}


@pytest.mark.parametrize("left", [b"", b"half an image"])
def test_an_object_that_a_killed_process_left_unfinished_is_replaced(chain: Any, left: bytes) -> None:
    # A reflink starts with an empty file under the object's name; only what is whole becomes read-only.
    chain.save(0)
    contents = read_pointer(chain.folder / "cycle_000", "contents.csv")
    places = [chain.store.locate(chain.images[0]), chain.store.object_path(contents)]
    for place in places:
        place.unlink()
        place.write_bytes(left)
    chain.save(0)
    assert file_md5(places[0]) == chain.images[0].digest
    assert file_md5(places[1]) == contents


def test_a_cache_that_takes_no_image_is_not_said_to_be_a_changed_image(
    repository: Path, new_images: Callable[..., pd.DataFrame], new_chain: Any, tmp_path: Path
) -> None:
    chain = new_chain(repository / "lineage", new_images(tmp_path / "large", "x" * 2**20))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, before[1]))  # as if the disk were full
    try:
        with pytest.raises(LineageError, match=r"5 images cannot be kept in DVC's cache: .*File too large"):
            chain.save(0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(chain.folder.glob("cycle_*")) == []
    chain.save(0)


def test_small_files_are_known_by_their_md5(tmp_path: Path, plain_chain: Any) -> None:
    assert plain_chain.store.keep_file(tmp_path, "removals.csv", b"a") == "0cc175b9c0f1b6a831c399e269772661"
    assert file_md5(tmp_path / "removals.csv") == md5(b"a") == "0cc175b9c0f1b6a831c399e269772661"
    assert plain_chain.store.read_file(tmp_path, "removals.csv") == b"a"
    with pytest.raises(LineageError, match=r"contents\.csv' is missing"):
        plain_chain.store.read_file(tmp_path, "contents.csv")


def test_a_missing_object_is_named_with_the_command_that_brings_it(chain: Any) -> None:
    chain.save(0)
    folder = chain.folder / "cycle_000"
    chain.store.object_path(read_pointer(folder, "removals.csv")).unlink()
    with pytest.raises(LineageError, match=f"lacks 'removals.csv' .*: dvc fetch {folder}/removals.csv.dvc"):
        chain.store.read_file(folder, "removals.csv")


def test_a_damaged_object_is_not_read(chain: Any) -> None:
    chain.save(0)
    folder = chain.folder / "cycle_000"
    place = chain.store.object_path(read_pointer(folder, "images"))
    place.chmod(0o644)
    place.write_text("[]")
    with pytest.raises(LineageError, match=f"damaged. Delete '{place}', then: dvc fetch {folder}/images.dvc"):
        chain.store.read_tree(folder)


@pytest.mark.parametrize(
    "content",
    [b"", b"outs: []", b"[1]", b"a: [", b"\xff\xfe\x00", b"outs:\n- md5:\n", b"outs:\n- md5: ''\n"],
)
def test_what_is_no_pointer_is_refused_by_its_path(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "images.dvc").write_bytes(content)
    with pytest.raises(LineageError, match=r"images\.dvc' is no DVC pointer"):
        read_pointer(tmp_path, "images")


def test_a_missing_pointer_is_named(tmp_path: Path) -> None:
    with pytest.raises(LineageError, match=r"The pointer '.*/images\.dvc' is missing"):
        read_pointer(tmp_path, "images")
