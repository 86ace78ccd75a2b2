from collections.abc import Callable
from pathlib import Path

import pytest
from kedro.io import DatasetError

from irp_kedro.datasets.lineage_records import LineageRecordsDataset
from irp_kedro.lineage.record import LineageRecord, Provenance, cycle_folder
from irp_kedro.writing import write_json


def record(cycle: int, provenance: Provenance) -> LineageRecord:
    return LineageRecord(
        strategy="vanilla",
        cycle=cycle,
        stop="",
        parent="",
        parent_tree="",
        tree=f"tree{cycle}",
        has_tree=True,
        images=10 - cycle,
        size=1,
        removed=cycle,
        restored=0,
        removals="",
        contents="",
        model="",
        mode="plain",
        provenance=provenance,
    )


def test_records_are_rows_in_the_order_of_their_cycles(
    tmp_path: Path, provenance_of: Callable[..., Provenance]
) -> None:
    for cycle in (10, 2, 0):
        write_json(
            tmp_path / cycle_folder(cycle) / "lineage.json",
            record(cycle, provenance_of(review="abc")).as_dict(),
        )
    table = LineageRecordsDataset(filepath=tmp_path.as_posix()).load()
    assert table["cycle"].tolist() == [0, 2, 10]
    assert table["tree"].tolist() == ["tree0", "tree2", "tree10"]
    assert set(table["review"]) == {"abc"}


def test_without_snapshots_it_says_what_to_run(tmp_path: Path) -> None:
    dataset = LineageRecordsDataset(filepath=tmp_path.as_posix())
    assert not dataset.exists()
    with pytest.raises(DatasetError, match="kedro run --pipelines refinement"):
        dataset.load()


def test_records_are_not_saved_from_here(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no node's output"):
        LineageRecordsDataset(filepath=tmp_path.as_posix()).save("anything")
