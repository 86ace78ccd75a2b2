from pathlib import Path
from typing import Any

import pytest

from irp_kedro.errors import LineageError
from irp_kedro.lineage.finding import (
    Snapshot,
    find_by_model,
    find_cell,
    find_snapshot,
    find_snapshots,
    snapshot_folders,
)

LOW = "sample-level0.1-differnet-seed0-620923ad"
HIGH = "sample-level0.2-differnet-seed0-0badcafe"
OTHER = "mvtec_ad-pill-level0.2-gaussian-seed1-620923ad"
TURNS = (("", ""), ("e", ""), ("d", ""))


@pytest.fixture
def root(plain_chain: Any, training: Any, new_chain: Any) -> Path:
    """Two cells of three cycles, one of which has a second strategy, and a third cell."""
    for number, name in enumerate((f"{HIGH}/iterative_refinement", f"{HIGH}/vanilla", f"{LOW}/vanilla")):
        chain = new_chain(plain_chain.root, training, name, mode="plain")
        chain.model = f"model {number % 2}"
        chain.tell(TURNS if "iterative" in name else TURNS[:1])
    return Path(plain_chain.root)


@pytest.fixture
def snapshots(root: Path) -> list[Snapshot]:
    return find_snapshots(root)


def test_snapshots_are_listed_by_cell_strategy_and_cycle(root: Path) -> None:
    assert [snapshot.name for snapshot in find_snapshots(root)] == [
        f"{LOW}/vanilla/cycle_000",
        f"{HIGH}/iterative_refinement/cycle_000",
        f"{HIGH}/iterative_refinement/cycle_001",
        f"{HIGH}/iterative_refinement/cycle_002",
        f"{HIGH}/vanilla/cycle_000",
    ]
    last = find_snapshots(root)[-1]
    assert (last.cell, last.strategy, last.record.strategy) == (HIGH, "vanilla", "vanilla")


def test_what_a_killed_run_left_and_what_others_put_there_is_no_snapshot(root: Path) -> None:
    before = snapshot_folders(root)
    chain = root / HIGH / "vanilla"
    for name in (".cycle_001.x.tmp", ".cycle_001.old", "cycle_001.copy", "cycle_", "notes"):
        (chain / name).mkdir()
    (chain / "cycle_007").write_text("a file")
    assert snapshot_folders(root) == before


def test_cycles_beyond_the_thousandth_stay_in_order(tmp_path: Path) -> None:
    names = ["cycle_000", "cycle_999", "cycle_1000", "cycle_1001"]
    for name in reversed(names):
        (tmp_path / "cell" / "vanilla" / name).mkdir(parents=True)
    assert [folder.name for folder in snapshot_folders(tmp_path)] == names


def test_there_is_nothing_to_find_where_no_run_has_been(tmp_path: Path) -> None:
    assert find_snapshots(tmp_path / "lineage") == []
    with pytest.raises(LineageError, match=r"There is no snapshot yet\. Make some: kedro run"):
        find_snapshot([], "vanilla/0")


def test_an_unreadable_record_is_named(root: Path) -> None:
    path = root / HIGH / "vanilla" / "cycle_000" / "lineage.json"
    path.write_text("{")
    with pytest.raises(LineageError, match=f"'{path}' is no lineage record"):
        find_snapshots(root)
    path.unlink()
    with pytest.raises(LineageError, match=f"'{path}' is missing"):
        find_snapshots(root)


@pytest.mark.parametrize("name", [HIGH, "sample-level0.2", "sample-level0.2-differnet-seed0-0", "0badcafe"])
def test_a_cell_is_found_by_its_name_its_beginning_or_its_last_digits(
    snapshots: list[Snapshot], name: str
) -> None:
    assert find_cell(snapshots, name) == HIGH
    assert find_snapshot(snapshots, f"{name}/vanilla/0").cell == HIGH


def test_a_whole_name_wins_over_a_beginning(training: Any, plain_chain: Any, new_chain: Any) -> None:
    for cell in ("sample", "sample-2"):
        new_chain(plain_chain.root, training, f"{cell}/vanilla", mode="plain").tell(TURNS[:1])
    assert find_cell(find_snapshots(plain_chain.root), "sample") == "sample"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sample", f"'sample' fits 2 cells: {LOW}, {HIGH}. Give more of the name."),
        (LOW.replace("sample", "smaple"), f"No snapshots of a cell '.*'; did you mean '{LOW}'"),
        ("zzz", f"No snapshots of a cell 'zzz'; known: '{LOW}', '{HIGH}'"),
        ("level0.2", "No snapshots of a cell 'level0.2'"),
        ("cafe", "No snapshots of a cell 'cafe'"),
        ("", "No snapshots of a cell ''"),
    ],
)
def test_a_cell_that_is_none_or_several_is_refused(snapshots: list[Snapshot], name: str, message: str) -> None:
    with pytest.raises(LineageError, match=message):
        find_cell(snapshots, name)


@pytest.mark.parametrize("number", ["2", "last", "cycle_002", "002", "2/"])
@pytest.mark.parametrize("cell", ["", f"{HIGH}/", "0badcafe/", f"/{HIGH}/"])
def test_a_snapshot_is_found_by_each_of_its_names(snapshots: list[Snapshot], cell: str, number: str) -> None:
    found = find_snapshot(snapshots, f"{cell}iterative_refinement/{number}", default_cell=HIGH)
    assert found.name == f"{HIGH}/iterative_refinement/cycle_002"
    assert found.record.images == 3


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("iterative_refinement", r"names no snapshot; write \[CELL/\]STRATEGY/CYCLE"),
        ("a/b/c/d", r"names no snapshot; write \[CELL/\]STRATEGY/CYCLE"),
        ("iterative_refinment/0", f"{HIGH} has no snapshots of .*; did you mean 'iterative_refinement'"),
        (f"{LOW}/iterative_refinement/0", f"{LOW} has no snapshots of .*; known: 'vanilla'"),
        ("iterative_refinement/3", "has no cycle '3'; it has 0 to 2"),
        ("iterative_refinement/-1", "has no cycle '-1'; it has 0 to 2"),
        ("iterative_refinement/first", "has no cycle 'first'; it has 0 to 2"),
        ("iterative_refinement/²", "has no cycle '²'; it has 0 to 2"),
        ("620923/vanilla/0", "No snapshots of a cell '620923'"),
    ],
)
def test_a_name_that_fits_no_snapshot_says_what_would(
    snapshots: list[Snapshot], name: str, message: str
) -> None:
    with pytest.raises(LineageError, match=message):
        find_snapshot(snapshots, name, default_cell=HIGH)


def test_the_last_digits_of_a_cell_may_fit_several(root: Path, training: Any, new_chain: Any) -> None:
    new_chain(root, training, f"{OTHER}/vanilla", mode="plain").tell(TURNS[:1])
    with pytest.raises(LineageError, match=f"'620923ad' fits 2 cells: {OTHER}, {LOW}"):
        find_cell(find_snapshots(root), "620923ad")


def test_weights_name_every_snapshot_they_were_trained_on(snapshots: list[Snapshot]) -> None:
    names = [snapshot.name for snapshot in find_by_model(snapshots, "model 0")]
    assert names == [f"{LOW}/vanilla/cycle_000", f"{HIGH}/iterative_refinement/cycle_002"]
    assert find_by_model(snapshots, "model 2") == []
