from pathlib import Path
from typing import Any

import pytest

from irp_kedro.errors import LineageError
from irp_kedro.lineage.restoring import restore

KEPT = ["abcde", "abcd", "abc", "abc", "abce"]


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "restored" / "here"


def files(folder: Path) -> dict[str, str]:
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_text() for path in paths}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


@pytest.mark.parametrize("cycle", range(5))
def test_every_image_comes_back_under_its_id_with_its_bytes(finished: Any, target: Path, cycle: int) -> None:
    images = restore(finished.snapshots[cycle], finished.store, target)
    assert files(target) == {f"{image_id}.png": image_id for image_id in KEPT[cycle]}
    assert [image.image_id for image in images] == list(KEPT[cycle])


def test_original_names_come_back_with_their_folders(finished: Any, target: Path) -> None:
    restore(finished.snapshots[4], finished.store, target, originals=True)
    assert files(target) == {
        "good/a.png": "a",
        "good/b.png": "b",
        "good/c.png": "c",
        "bad/e.PNG": "e",
    }


def test_copies_are_files_of_their_own_that_may_be_edited(finished: Any, target: Path) -> None:
    restore(finished.snapshots[0], finished.store, target)
    (target / "a.png").write_text("edited")
    assert finished.store.locate(finished.images[0]).read_text() == "a"
    assert (target / "a.png").stat().st_mode & 0o200


def test_links_use_no_space(finished: Any, target: Path) -> None:
    restore(finished.snapshots[1], finished.store, target, hardlink=True)
    assert files(target) == {f"{image_id}.png": image_id for image_id in "abcd"}
    for image in finished.images[:4]:
        assert (target / image.name).stat().st_ino == finished.store.locate(image).stat().st_ino


@pytest.mark.parametrize("spelling", ["../here", ".", "../link"])
def test_an_empty_folder_is_filled_however_it_is_spelt(
    finished: Any, target: Path, spelling: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    target.mkdir(parents=True)
    (target.parent / "link").symlink_to(target)
    monkeypatch.chdir(target)
    restore(finished.snapshots[2], finished.store, Path(spelling))
    assert names(target) == ["a.png", "b.png", "c.png"]
    assert names(target.parent) == ["here", "link"]


def test_a_folder_that_holds_something_is_refused_and_left_alone(finished: Any, target: Path) -> None:
    target.mkdir(parents=True)
    (target / "mine.txt").write_text("mine")
    with pytest.raises(LineageError, match=f"'{target}' exists and is not empty; name a new folder"):
        restore(finished.snapshots[0], finished.store, target)
    with pytest.raises(LineageError, match=r"mine\.txt' exists"):
        restore(finished.snapshots[0], finished.store, target / "mine.txt")
    assert files(target.parent) == {"here/mine.txt": "mine"}


@pytest.mark.parametrize("mode", ["dvc", "plain"])
def test_nothing_is_restored_where_one_image_is_damaged(
    request: pytest.FixtureRequest, target: Path, mode: str
) -> None:
    chain = request.getfixturevalue("chain" if mode == "dvc" else "plain_chain")
    chain.tell()
    place = chain.store.locate(chain.images[1])
    place.chmod(0o644)
    place.write_text("B")
    for options in ({}, {"originals": True}, {"hardlink": True}):
        with pytest.raises(
            LineageError, match=rf"'{place}' \(good/b\.png\) is no longer .*Nothing was restored"
        ):
            restore(chain.snapshots[0], chain.store, target, **options)
        assert names(target.parent) == []
    assert place.read_text() == "B"


def test_missing_objects_are_counted_with_the_command_that_brings_them(chain: Any, target: Path) -> None:
    chain.tell()
    for image in chain.images[1:3]:
        chain.store.locate(image).unlink()
    counted = r"2 of the 4 images of cell/.*/cycle_001 are not here \(first: good/b\.png\)"
    with pytest.raises(LineageError, match=f"{counted}.*: dvc fetch {chain.folder}/"):
        restore(chain.snapshots[1], chain.store, target)
    assert not target.parent.exists()


def test_missing_source_files_are_counted_where_no_copy_is_kept(plain_chain: Any, target: Path) -> None:
    plain_chain.tell()
    Path(plain_chain.images[4].path).unlink()
    restore(plain_chain.snapshots[1], plain_chain.store, target)  # e had left
    with pytest.raises(LineageError, match=r"1 of the 5 images .*bad/e\.PNG.*plain mode keeps no copy"):
        restore(plain_chain.snapshots[0], plain_chain.store, target.parent / "there")
    assert names(target.parent) == ["here"]


def test_restoring_does_not_change_the_store(chain: Any, target: Path, cached: Any) -> None:
    chain.tell()
    before = cached()
    modes = [chain.store.locate(image).stat().st_mode for image in chain.images]
    restore(chain.snapshots[0], chain.store, target, hardlink=True)
    assert cached() == before
    assert [chain.store.locate(image).stat().st_mode for image in chain.images] == modes
