import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from irp_kedro.lineage.store import read_pointer
from irp_kedro.lineage.verifying import Verification, verify

CHAIN = "cell/iterative_refinement"


@pytest.fixture(scope="module")
def whole(
    tmp_path_factory: pytest.TempPathFactory,
    make_repository: Callable[[Path], Path],
    new_images: Callable[..., Any],
    new_chain: Any,
) -> Any:
    """Cycles 0 to 4; the sets of 1 and 3 follow from removals."""
    folder = tmp_path_factory.mktemp("whole")
    root = make_repository(folder / "repository") / "lineage"
    chain = new_chain(root, new_images(folder / "images"), tree_every=2)
    chain.tell()
    return chain


@pytest.fixture
def told(whole: Any, tmp_path: Path) -> Any:
    """A copy of that chain, whose records and pointers may be changed, but no object."""
    return whole.copied_to(tmp_path / "lineage")


def check(chain: Any) -> tuple[str, ...]:
    return verify(chain.root, chain.stores).faults


def faults_at(chain: Any) -> dict[int, int]:
    """Count the faults by the cycle that they name first."""
    cycles = [int(fault.split("cycle_")[1][:3]) for fault in check(chain)]
    return {cycle: cycles.count(cycle) for cycle in sorted(set(cycles))}


def edit_record(chain: Any, cycle: int, edit: dict[str, Any]) -> None:
    path = chain.folder / f"cycle_{cycle:03d}" / "lineage.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | edit))


def object_of(chain: Any, cycle: int, name: str) -> Path:
    return Path(chain.store.object_path(read_pointer(chain.folder / f"cycle_{cycle:03d}", name)))


@contextmanager
def changed(path: Path, content: str | None) -> Iterator[None]:
    """Let a file hold something else for a while, or let it be missing."""
    path.rename(path.with_suffix(".whole"))
    if content is not None:
        path.write_text(content)
    yield
    path.with_suffix(".whole").replace(path)


def test_what_a_run_has_just_saved_is_whole(whole: Any, finished: Any) -> None:
    for chain in (whole, finished):
        assert verify(chain.root, chain.stores) == Verification(snapshots=5, images=5, faults=(), unfinished=())


def test_there_is_nothing_wrong_with_nothing(tmp_path: Path) -> None:
    assert verify(tmp_path, {}) == Verification(snapshots=0, images=0, faults=(), unfinished=())


def test_a_run_that_ended_early_is_unfinished_and_no_fault(told: Any) -> None:
    for cycle in ("cycle_004", "cycle_003"):
        shutil.rmtree(told.folder / cycle)
        found = verify(told.root, told.stores)
        assert (found.faults, found.unfinished) == ((), (CHAIN,))
    assert (found.snapshots, found.images) == (3, 5)


def test_a_missing_record_is_a_fault(told: Any) -> None:
    (told.folder / "cycle_004" / "lineage.json").unlink()
    (fault,) = check(told)
    assert fault == f"'{told.folder}/cycle_004/lineage.json' is missing."


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff"])
def test_an_unreadable_record_is_a_fault(told: Any, content: bytes) -> None:
    (told.folder / "cycle_004" / "lineage.json").write_bytes(content)
    (fault,) = check(told)
    assert fault.startswith(f"'{told.folder}/cycle_004/lineage.json' is no lineage record")


@pytest.mark.parametrize("name", ["images", "removals.csv", "contents.csv"])
def test_a_missing_pointer_is_a_fault(told: Any, name: str) -> None:
    path = told.folder / "cycle_000" / f"{name}.dvc"
    path.unlink()
    assert f"{CHAIN}/cycle_000: The pointer '{path}' is missing." in check(told)


@pytest.mark.parametrize("name", ["images", "removals.csv", "contents.csv"])
@pytest.mark.parametrize(
    "content", [b"", b"outs: []", b"\xff\xfe", b"outs:\n- md5: ''\n", b"outs:\n- md5: ../x\n"]
)
def test_an_unreadable_pointer_is_a_fault(told: Any, name: str, content: bytes) -> None:
    (told.folder / "cycle_000" / f"{name}.dvc").write_bytes(content)
    assert any(f"{name}.dvc" in fault for fault in check(told))


@pytest.mark.parametrize("other", ["images", "removals.csv", "contents.csv"])
@pytest.mark.parametrize("name", ["images", "removals.csv", "contents.csv"])
def test_a_pointer_at_another_object_is_a_fault(told: Any, name: str, other: str) -> None:
    told.store.keep_file(told.folder / "cycle_004", "contents.csv", b"of another chain")
    source = told.folder / ("cycle_000" if name != other else "cycle_004") / f"{other}.dvc"
    pointer = source.read_text().replace(f"path: {other}", f"path: {name}")
    (told.folder / "cycle_000" / f"{name}.dvc").write_text(pointer)
    assert any(fault.startswith(f"{CHAIN}/cycle_000: '{name}") for fault in check(told))


@pytest.mark.parametrize("name", ["images", "removals.csv", "contents.csv"])
def test_a_small_object_that_is_missing_or_damaged_is_a_fault(told: Any, name: str) -> None:
    with changed(object_of(told, 0, name), None):
        assert any(f"cycle_000: DVC's cache lacks '{name}'" in fault for fault in check(told))
    with changed(object_of(told, 0, name), "damaged"):
        assert any(f"cycle_000: The object of '{name}'" in fault for fault in check(told))
    assert check(told) == ()


@pytest.mark.parametrize("content", [b"", b"x", b"\xff\xfe", b"[1]"])
@pytest.mark.parametrize("name", ["images.json", "removals.csv", "contents.csv"])
def test_a_plain_file_that_is_missing_or_damaged_is_a_fault(
    plain_chain: Any, name: str, content: bytes
) -> None:
    plain_chain.tell()
    path = plain_chain.folder / "cycle_000" / name
    path.write_bytes(content)
    assert any(name in fault for fault in check(plain_chain))
    path.unlink()
    assert f"{CHAIN}/cycle_000: '{path}' is missing." in check(plain_chain)


def test_an_image_is_named_once_however_many_snapshots_hold_it(finished: Any) -> None:
    gone, damaged = (finished.store.locate(image) for image in (finished.images[0], finished.images[4]))
    with changed(gone, None), changed(damaged, "damaged"):
        assert check(finished) == (
            f"{CHAIN}/cycle_000: image a.png (good/a.png) is missing: No such file or directory, '{gone}'",
            f"{CHAIN}/cycle_000: image e.png (bad/e.PNG) is damaged: '{damaged}'",
        )


def test_chains_that_share_their_images_have_them_read_once(told: Any) -> None:
    shutil.copytree(told.folder, told.root / "cell" / "vanilla")
    shutil.copytree(told.folder, told.root / "other" / "vanilla")
    seen: list[None] = []
    with changed(told.store.locate(told.images[2]), "damaged"):
        found = verify(told.root, told.stores, observe=lambda: seen.append(None))
    assert (len(seen), found.images, found.snapshots) == (5, 5, 15)
    assert len([fault for fault in found.faults if "image" in fault.split(": ")[1]]) == 1


def test_a_missing_cycle_is_a_fault(told: Any) -> None:
    shutil.rmtree(told.folder / "cycle_002")
    assert f"{CHAIN}/cycle_003: the cycle before it is missing" in check(told)


def test_a_missing_first_cycle_is_a_fault(told: Any) -> None:
    shutil.rmtree(told.folder / "cycle_000")
    assert f"{CHAIN}/cycle_001: cycle 0, the set before, is missing" in check(told)


@pytest.mark.parametrize(
    ("cycle", "edit"),
    [
        (1, {"images": 5}),
        (1, {"size": 5}),
        (0, {"removed": 1}),
        (1, {"removed": 2}),
        (2, {"restored": 1}),
        (0, {"restored": 1}),
        (1, {"tree": "0" * 32 + ".dir"}),
        (2, {"tree": "0" * 32 + ".dir"}),
        (1, {"parent_tree": "0" * 32 + ".dir"}),
        (0, {"parent_tree": "0" * 32 + ".dir"}),
        (1, {"parent": f"{CHAIN}/cycle_003"}),
        (1, {"removals": "0" * 32}),
        (0, {"contents": "0" * 32}),
        (3, {"contents": "0" * 32}),
        (1, {"cycle": 7}),
        (1, {"cycle": "1"}),
        (1, {"stop": "patience"}),
        (1, {"stop": None}),
        (1, {"strategy": "vanilla"}),
        (4, {"strategy": "vanilla"}),
        (0, {"has_tree": False}),
        (1, {"has_tree": True}),
        (1, {"mode": "plain"}),
        (1, {"mode": "cloud"}),
        (1, {"images": None}),
        (1, {"schema": 2}),
    ],
    ids=str,
)
def test_an_edited_record_is_a_fault(told: Any, plain_chain: Any, cycle: int, edit: dict[str, Any]) -> None:
    edit_record(told, cycle, edit)
    faults = verify(told.root, told.stores | plain_chain.stores).faults
    assert faults != ()


def test_removals_that_do_not_explain_the_set_are_a_fault(plain_chain: Any) -> None:
    plain_chain.save(0)
    plain_chain.save(1, removed="ee", stop="patience")
    assert check(plain_chain) == (f"{CHAIN}/cycle_001: 5 images, less 2 removed, plus 0 restored, are not 4",)


def test_cycles_of_two_runs_are_a_fault(told: Any) -> None:
    record = json.loads((told.folder / "cycle_002" / "lineage.json").read_text())
    edit_record(told, 2, {"provenance": record["provenance"] | {"run": "second run"}})
    assert faults_at(told) == {2: 1, 3: 1}


def test_cycles_of_another_chain_are_a_fault(told: Any, new_chain: Any) -> None:
    other = new_chain(told.root, told.training, "cell/one_shot_removal")
    other._store = told.store
    other.tell((("", ""), ("a", ""), ("", "")))
    shutil.rmtree(told.folder / "cycle_001")
    shutil.copytree(other.folder / "cycle_001", told.folder / "cycle_001")
    faults = check(told)
    assert faults != ()
    assert not any(fault.startswith("cell/one_shot_removal") for fault in faults)


def test_the_check_goes_on_after_a_fault(told: Any) -> None:
    (told.folder / "cycle_001" / "removals.csv.dvc").write_bytes(b"\xff")
    (told.folder / "cycle_004" / "lineage.json").unlink()
    with changed(told.store.locate(told.images[3]), "damaged"):
        found = check(told)
    for fault in ("cycle_001/removals.csv.dvc", "image d.png", "cycle_004/lineage.json"):
        assert any(fault in sentence for sentence in found), fault


def test_one_cell_can_be_checked_alone(told: Any, plain_chain: Any, new_chain: Any) -> None:
    other = new_chain(told.root, plain_chain.training, "other/vanilla", mode="plain")
    other.save(0)
    (told.folder / "cycle_001" / "lineage.json").unlink()
    stores = told.stores | other.stores
    assert verify(told.root, stores, cell="other") == Verification(
        snapshots=1, images=5, faults=(), unfinished=("other/vanilla",)
    )
    assert verify(told.root, stores, cell="cell").faults != ()
    assert verify(told.root, stores, cell="oth").snapshots == 0
