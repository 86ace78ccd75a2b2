import os
from pathlib import Path

import pandas as pd
import pytest
from kedro.io import DatasetError

from irp_kedro.datasets.cell_results import CellResultsDataset


@pytest.fixture
def dataset(tmp_path: Path) -> CellResultsDataset:
    return CellResultsDataset(filepath=tmp_path.as_posix(), table="summary.csv")


def finish(root: Path, cell: str, *strategies: str, **more: object) -> Path:
    (root / cell).mkdir()
    table = pd.DataFrame({"cell": cell, "strategy": strategies, "image_auroc": 0.5}).assign(**more)
    table.to_csv(root / cell / "summary.csv", index=False)
    return root / cell / "summary.csv"


def test_rows_of_all_cells_stand_under_each_other(dataset: CellResultsDataset, tmp_path: Path) -> None:
    finish(tmp_path, "b", "vanilla", "iterative_refinement")
    finish(tmp_path, "a", "vanilla")
    table = dataset.load()
    assert list(zip(table["cell"], table["strategy"], strict=True)) == [
        ("a", "vanilla"),
        ("b", "vanilla"),
        ("b", "iterative_refinement"),
    ]
    assert list(table.index) == [0, 1, 2]


@pytest.mark.parametrize(("older", "newer"), [("a", "b"), ("b", "a")])
def test_of_one_experiment_in_two_folders_the_newest_counts(
    dataset: CellResultsDataset, tmp_path: Path, older: str, newer: str
) -> None:
    # A digest may be all digits; another seed is another experiment.
    for age, name in enumerate((older, newer)):
        written = finish(tmp_path, name, "vanilla", "iterative_refinement", setting="00001234", seed=0)
        os.utime(written, ns=(age, age))
    finish(tmp_path, "c", "vanilla", setting="00001234", seed=1)
    assert list(dataset.load()["cell"]) == [newer, newer, "c"]


def test_a_cell_that_has_not_finished_is_left_out(dataset: CellResultsDataset, tmp_path: Path) -> None:
    finish(tmp_path, "a", "vanilla")
    (tmp_path / "b").mkdir()
    (tmp_path / "summary.csv").write_text("no cell's own\n")
    assert list(dataset.load()["cell"]) == ["a"]


def test_where_nothing_has_finished_there_are_no_rows(dataset: CellResultsDataset) -> None:
    assert dataset.exists()
    assert dataset.load().empty


def test_cell_results_are_no_nodes_output(dataset: CellResultsDataset) -> None:
    with pytest.raises(DatasetError, match="read from the cells' own tables"):
        dataset.save(pd.DataFrame())
    assert "summary.csv" in str(dataset)
