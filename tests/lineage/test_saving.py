from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from filelock import FileLock, Timeout

from irp_kedro.core.records import removal_log
from irp_kedro.errors import LineageError
from irp_kedro.lineage.contents import from_csv
from irp_kedro.lineage.rebuilding import read_contents, read_removals, rebuild
from irp_kedro.lineage.record import LineageRecord
from irp_kedro.lineage.restoring import restore
from irp_kedro.lineage.saving import LOCK, release_chains
from irp_kedro.lineage.store import file_md5, md5
from irp_kedro.lineage.tree import tree_of

KEPT = ["abcde", "abcd", "abc", "abc", "abce"]


def tree_hash(chain: Any, image_ids: str) -> str:
    return str(tree_of({image.name: image.digest for image in chain.images if image.image_id in image_ids}).oid)


def cycles(chain: Any) -> list[str]:
    return sorted(path.name for path in chain.folder.iterdir() if not path.name.startswith("."))


def kept(chain: Any) -> list[str]:
    return ["".join(i.image_id for i in rebuild(found, chain.store)) for found in chain.snapshots]


@pytest.fixture(params=["dvc", "plain"])
def any_chain(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue("chain" if request.param == "dvc" else "plain_chain")


def test_every_cycle_is_recorded_with_its_counts_and_its_parent(any_chain: Any) -> None:
    records = any_chain.tell()
    assert [found.record for found in any_chain.snapshots] == records
    assert [record.cycle for record in records] == [0, 1, 2, 3, 4]
    assert [record.images for record in records] == [5, 4, 3, 3, 4]
    assert [record.size for record in records] == [5, 4, 3, 3, 4]
    assert [(record.removed, record.restored) for record in records] == [(0, 0), (1, 0), (1, 0), (0, 0), (0, 1)]
    assert [record.tree for record in records] == [tree_hash(any_chain, image_ids) for image_ids in KEPT]
    assert [record.parent_tree for record in records] == ["", *(record.tree for record in records[:-1])]
    assert [record.parent for record in records] == ["", *(record.name for record in records[:-1])]
    assert [record.stop for record in records] == ["", "", "", "", "patience"]
    assert [record.model for record in records] == ["", "", "", "", "0123456789abcdef"]
    assert {record.provenance.run for record in records} == {"first run"}
    assert {record.mode for record in records} == {any_chain.mode}


def test_every_cycle_comes_back_as_it_was(any_chain: Any) -> None:
    any_chain.tell()
    assert kept(any_chain) == KEPT


def test_the_removals_of_all_cycles_are_the_removal_log(any_chain: Any, training: pd.DataFrame) -> None:
    any_chain.tell((("", ""), ("ea", ""), ("", ""), ("c", "e"), ("", "a")))
    tables = [read_removals(found.folder, any_chain.store) for found in any_chain.snapshots]
    rule = {"policy": "all_above", "scoring": "held_out", "detector": "differnet", "judge": "gaussian"}
    log = removal_log(any_chain.cycles, training, **rule)
    whole = pd.concat(tables, ignore_index=True)
    assert whole.to_csv(index=False) == log.to_csv(index=False)
    assert list(whole["image_id"]) == ["e", "a", "c", "e", "a"]


def test_the_first_cycle_lists_every_image_with_its_original_name(any_chain: Any) -> None:
    records = any_chain.tell()
    images = read_contents(any_chain.folder, any_chain.store)
    assert images == any_chain.images
    assert [(image.name, image.original) for image in images][-2:] == [
        ("d.png", "bad/d.png"),
        ("e.png", "bad/e.PNG"),
    ]
    content = any_chain.store.read_file(any_chain.folder / "cycle_000", "contents.csv")
    assert from_csv(content) == images
    assert {record.contents for record in records} == {md5(content)}


def test_equal_sets_and_every_image_are_kept_once(chain: Any, cached: Callable[[], dict[str, bytes]]) -> None:
    chain.tell()
    images = {image.digest for image in chain.images}
    sets = {tree_hash(chain, image_ids) for image_ids in KEPT}
    assert len(sets) == 4  # of five cycles
    assert images < set(cached())
    assert {name for name in cached() if name.endswith(".dir")} == sets


@pytest.mark.parametrize("tree_every", [1, 2, 3, 4, 9])
def test_only_the_first_the_last_and_every_kth_set_is_an_object(any_chain: Any, tree_every: int) -> None:
    any_chain.tree_every = tree_every
    records = any_chain.tell()
    expected = [cycle % tree_every == 0 or cycle == 4 for cycle in range(5)]
    assert [record.has_tree for record in records] == expected
    pointers = [bool(list(found.folder.glob("images.*"))) for found in any_chain.snapshots]
    assert pointers == expected
    assert kept(any_chain) == KEPT


def test_a_shorter_run_leaves_no_cycle_of_the_longer_one_before_it(any_chain: Any) -> None:
    any_chain.tell()
    any_chain.run = "second run"
    any_chain.tell((("", ""), ("b", "")))
    assert cycles(any_chain) == ["cycle_000", "cycle_001"]
    assert kept(any_chain) == ["abcde", "acde"]
    assert {found.record.provenance.run for found in any_chain.snapshots} == {"second run"}


def test_what_a_killed_run_left_is_cleared_away(plain_chain: Any) -> None:
    plain_chain.tell()
    for folder in (".cycle_007.x.tmp", ".cycle_003.old"):
        (plain_chain.folder / folder / "half").mkdir(parents=True)
    (plain_chain.folder / "..gitignore.x.tmp").touch()
    plain_chain.tell()
    assert sorted(path.name for path in plain_chain.folder.glob(".*")) == [".gitignore", ".lock"]


def test_a_cycle_taken_up_again_replaces_itself_and_what_came_after_it(any_chain: Any) -> None:
    any_chain.save(0)
    any_chain.save(1, removed="e")
    any_chain.save(2, removed="d")
    any_chain.save(1, removed="a")
    assert cycles(any_chain) == ["cycle_000", "cycle_001"]
    any_chain.save(2, stop="patience")
    assert kept(any_chain) == ["abcde", "bcde", "bcde"]


def test_a_folder_that_only_looks_like_a_cycle_is_left_alone(any_chain: Any) -> None:
    (any_chain.folder / "cycle_000.copy").mkdir(parents=True)
    any_chain.tell()
    any_chain.tell()
    assert cycles(any_chain)[:2] == ["cycle_000", "cycle_000.copy"]
    assert kept(any_chain) == KEPT


def test_no_image_is_read_again_once_it_is_kept(chain: Any, tmp_path: Path) -> None:
    chain.save(0)
    Path(chain.images[0].path).write_text("replaced")
    for image in chain.images[1:]:
        Path(image.path).unlink()
    chain.save(1, removed="e")
    chain.save(2, stop="patience")
    chain.tell()  # and once more, from the first cycle
    restore(chain.snapshots[0], chain.store, tmp_path / "restored")
    assert {path.name: path.read_text() for path in (tmp_path / "restored").iterdir()} == {
        "a.png": "a",
        "b.png": "b",
        "c.png": "c",
        "d.png": "d",
        "e.png": "e",
    }


@pytest.mark.parametrize("link", ["copy", "hardlink"])
@pytest.mark.parametrize("fault", ["changed", "gone"])
def test_an_image_that_is_no_longer_what_ingestion_read_is_refused(
    chain: Any, cached: Callable[[], dict[str, bytes]], fault: str, link: str
) -> None:
    chain.link = link
    source = Path(chain.images[2].path)
    source.write_text("C") if fault == "changed" else source.unlink()
    with pytest.raises(LineageError, match=r"1 images are gone or have changed .*good/c\.png.*kedro run"):
        chain.save(0)
    assert cycles(chain) == []
    assert all(md5(content) == name for name, content in cached().items())
    assert chain.images[2].digest not in cached()
    if fault == "changed":
        assert source.read_text() == "C"


def test_a_refused_run_leaves_the_chain_of_the_run_before_it(
    chain: Any, new_images: Callable[..., pd.DataFrame], new_chain: Any, tmp_path: Path
) -> None:
    chain.tell()
    again = new_chain(chain.root, new_images(tmp_path / "other", " of another set"))
    Path(again.images[0].path).unlink()
    with pytest.raises(LineageError, match="1 images are gone"):
        again.save(0)
    assert kept(chain) == KEPT


def test_links_share_their_bytes_with_the_source_and_snapshots_of_them_are_whole(chain: Any) -> None:
    chain.link = "hardlink"
    chain.tell()
    for image in chain.images:
        place = chain.store.locate(image)
        assert place.stat().st_ino == Path(image.path).stat().st_ino
        assert file_md5(place) == image.digest


def test_a_cycle_does_not_follow_on_the_cycles_of_another_run(chain: Any) -> None:
    chain.save(0)
    chain.run = "second run"
    with pytest.raises(LineageError, match="Another run has replaced the snapshots"):
        chain.save(1, removed="e")
    assert cycles(chain) == ["cycle_000"]


def test_a_cycle_without_the_one_before_it_is_refused(chain: Any) -> None:
    chain.save(0)
    chain.content(1)
    with pytest.raises(LineageError, match=r"cycle_001/lineage\.json' is missing"):
        chain.save(2)
    assert cycles(chain) == ["cycle_000"]


def test_a_chain_does_not_go_on_in_another_mode(chain: Any) -> None:
    chain.save(0)
    chain.mode = "plain"
    with pytest.raises(LineageError, match=r"lineage\.mode"):
        chain.save(1, removed="e")
    assert cycles(chain) == ["cycle_000"]


def test_a_run_cut_short_can_start_again_in_the_same_process(chain: Any) -> None:
    chain.save(0)
    chain.save(1, removed="e")
    chain.run = "second run"
    chain.tell()
    assert kept(chain) == KEPT


def test_a_run_cut_short_can_start_again_in_another_process_once_this_one_lets_go(plain_chain: Any) -> None:
    plain_chain.save(0)
    another = FileLock(plain_chain.folder / LOCK)
    with pytest.raises(Timeout):
        another.acquire(blocking=False)
    release_chains()
    with another.acquire(blocking=False):
        assert another.is_locked


def test_an_error_while_a_cycle_is_written_leaves_the_cycles_before_it(
    chain: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain.save(0)
    with monkeypatch.context() as patch:
        patch.setattr(LineageRecord, "as_dict", lambda _: 1 / 0)  # after pointers, before the record
        with pytest.raises(ZeroDivisionError):
            chain.save(1, removed="e")
    assert cycles(chain) == ["cycle_000"]
    chain.save(1, removed="e", stop="patience")
    assert kept(chain) == ["abcde", "abcd"]
