from pathlib import Path

import pandas as pd
import pytest
from kedro.io import DatasetError

from irp_kedro.datasets.grid_records import CellRecord, GridCellsDataset, GridFolder, ListedCell


@pytest.fixture
def folder(tmp_path: Path) -> GridFolder:
    return GridFolder(tmp_path)


def record(cell: str, status: str = "done", **told: object) -> CellRecord:
    return CellRecord.model_validate({"digest": cell * 8, "cell": cell, "status": status, **told})


def finish(folder: GridFolder, cell: str) -> None:
    path = folder.summary_path(cell)
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = pd.DataFrame({"cell": cell, "strategy": ["vanilla", "oracle"], "product_class": None})
    rows.to_csv(path, index=False)


def listed(*cells: str) -> list[ListedCell]:
    return [ListedCell(digest=cell * 8, cell=cell, set=f"set {cell}", variant="-") for cell in cells]


def test_a_record_is_read_as_it_was_written(folder: GridFolder) -> None:
    finish(folder, "a")
    written = record("a", seconds=3.5, worker="here:1", attempts=2)
    folder.write(written)
    assert folder.read("a" * 8) == written
    assert folder.is_done("a" * 8)


def test_files_without_a_record_are_no_finished_cell(folder: GridFolder) -> None:
    finish(folder, "a")
    assert folder.read("a" * 8) is None
    assert not folder.is_done("a" * 8)


def test_a_record_without_files_is_no_finished_cell(folder: GridFolder) -> None:
    folder.write(record("a"))
    assert not folder.is_done("a" * 8)


def test_a_failed_cell_is_not_done_and_keeps_its_error(folder: GridFolder) -> None:
    folder.write(record("a", "failed", error="No image."))
    found = folder.read("a" * 8)
    assert found is not None
    assert (found.status, found.error) == ("failed", "No image.")
    assert not folder.is_done("a" * 8)


@pytest.mark.parametrize("text", ["", "{", '{"digest": "a"}', '{"digest": "a", "cell": "a", "status": "?"}'])
def test_a_record_that_cannot_be_read_counts_as_none(folder: GridFolder, text: str) -> None:
    path = folder.record_path("a" * 8)
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert folder.read("a" * 8) is None


def test_a_grid_s_cells_are_its_finished_ones_in_its_order(folder: GridFolder, tmp_path: Path) -> None:
    for cell in "abcd":
        finish(folder, cell)
    for cell in ("a", "b", "d"):
        folder.write(record(cell, seconds=2.0))
    folder.write_list("mine", "note", listed("b", "a", "c"))
    table = GridCellsDataset(filepath=(tmp_path / "grid" / "mine.json").as_posix()).load()
    assert list(table["cell"]) == ["b", "b", "a", "a"]
    assert list(table.columns[:4]) == ["grid", "set", "variant", "cell_seconds"]
    assert table.attrs["note"] == "note"
    assert list(table["set"].unique()) == ["set b", "set a"]


@pytest.mark.parametrize("known", [True, False])
def test_a_grid_without_finished_cells_says_what_to_do(folder: GridFolder, tmp_path: Path, known: bool) -> None:
    if known:
        folder.write_list("mine", "", listed("a"))
    dataset = GridCellsDataset(filepath=(tmp_path / "grid" / "mine.json").as_posix())
    assert dataset.exists() is known
    with pytest.raises(DatasetError, match="kedro irp grid"):
        dataset.load()


def test_grid_cells_are_no_node_s_output(tmp_path: Path) -> None:
    dataset = GridCellsDataset(filepath=(tmp_path / "grid" / "mine.json").as_posix())
    with pytest.raises(DatasetError, match="no node's output"):
        dataset.save(pd.DataFrame())
    assert "mine.json" in str(dataset)
