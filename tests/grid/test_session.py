from collections.abc import Callable
from pathlib import Path

import pytest

from irp_kedro.datasets.grid_records import CellRecord
from irp_kedro.errors import GridError, ParameterError
from irp_kedro.grid.session import Grid, open_grid

PROJECT = Path(__file__).parents[2]
Write = Callable[[str], Path]

TWO_LEVELS = "name: mine\nnote: n\naxes: {contamination.level: [0.0, 0.1]}\n"


pytestmark = pytest.mark.usefixtures("no_resolvers_left")


def opened(file: Path, root: Path, env: str | None = None) -> Grid:
    return open_grid(PROJECT, file, env=env, params={"data_root": str(root)}, variables={})


def test_cells_lie_on_the_environment_that_the_file_or_the_command_names(write: Write, tmp_path: Path) -> None:
    base, paper = opened(write(TWO_LEVELS), tmp_path), opened(write(TWO_LEVELS), tmp_path, env="paper")
    assert base.cells[0].parameters.backbone == "efficientnet_lite0"
    assert paper.cells[0].parameters.backbone == "alexnet"
    of_file = opened(write(TWO_LEVELS + "env: paper\n"), tmp_path)
    assert of_file.cells == paper.cells
    assert of_file.env == "paper"


def test_only_unfinished_cells_are_given_out(write: Write, tmp_path: Path) -> None:
    grid = opened(write(TWO_LEVELS), tmp_path)
    first, second = grid.cells
    summary = grid.folder.summary_path(first.name)
    summary.parent.mkdir(parents=True)
    summary.write_text("cell\n")
    grid.folder.write(CellRecord(digest=first.digest, cell=first.name, status="done"))
    (task,) = grid.tasks(threads=3)
    assert (task.digest, task.cell, task.threads, task.attempt) == (second.digest, second.name, 3, 1)
    assert task.overrides == {"data_root": str(tmp_path), "seed": 0, "contamination": {"level": 0.1}}
    assert grid.state().done == [first]


def test_a_finished_cell_is_finished_in_every_grid_that_asks_for_it(write: Write, tmp_path: Path) -> None:
    grid = opened(write(TWO_LEVELS), tmp_path)
    for cell in grid.cells:
        path = grid.folder.summary_path(cell.name)
        path.parent.mkdir(parents=True)
        path.write_text("cell\n")
        grid.folder.write(CellRecord(digest=cell.digest, cell=cell.name, status="done"))
    other = opened(write("name: other\naxes: {contamination.level: [0.1, 0.3]}\n"), tmp_path)
    assert [cell.parameters.contamination.level for cell in other.state().todo] == [0.3]


def test_the_list_of_cells_is_kept_for_the_tables(write: Write, tmp_path: Path) -> None:
    grid = opened(write(TWO_LEVELS), tmp_path)
    grid.keep_list()
    listed = grid.folder.list_cells("mine")
    assert [(cell.digest, cell.set, cell.variant) for cell in listed] == [
        (cell.digest, "sample", "-") for cell in grid.cells
    ]
    assert grid.folder.read_note("mine") == "n"


def test_a_relative_data_root_lies_in_the_project(write: Write) -> None:
    grid = opened(write(TWO_LEVELS), Path("data"))
    assert grid.data_root == PROJECT / "data"
    assert grid.results == PROJECT / "data" / "08_reporting" / "grid" / "mine"


def test_nothing_is_opened_that_no_run_would_accept(write: Write, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="no parameter"):
        opened(write("name: a\naxes: {contamination.lvl: [0.1]}\n"), tmp_path)
    with pytest.raises(GridError, match="is no grid"):
        opened(write("- 1"), tmp_path)
