"""A grid of this project: its cells, their state, the tasks to give out, and its tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from irp_kedro.datasets.grid_records import GridFolder, ListedCell
from irp_kedro.grid.cells import GridCell, expand
from irp_kedro.grid.estimate import GridState
from irp_kedro.grid.plan import GridPlan, read_plan
from irp_kedro.grid.work import CellTask, kept_apart, shared_nodes


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A plan and what it means in this project.

    Attributes:
        project: folder of the Kedro project.
        plan: of the file.
        env: Kedro's environment.
        params: nested, on top of all other parameters.
        cells: in the order in which they run.
    """

    project: Path
    plan: GridPlan
    env: str
    params: Mapping[str, Any]
    cells: tuple[GridCell, ...]

    @property
    def data_root(self) -> Path:
        """Where files go, absolute; the same for every cell."""
        return (self.project / Path(self.cells[0].parameters.data_root).expanduser()).absolute()

    @cached_property
    def folder(self) -> GridFolder:
        """The records."""
        return GridFolder(self.data_root)

    @property
    def results(self) -> Path:
        """The folder with tables and figures over all cells."""
        return self.data_root / "08_reporting" / "grid" / self.plan.name

    def state(self) -> GridState:
        """Return what has ended so far."""
        found = {cell.digest: self.folder.read(cell.digest) for cell in self.cells}
        return GridState(cells=self.cells, records={key: record for key, record in found.items() if record})

    def tasks(self, *, threads: int) -> list[CellTask]:
        """Return the work that is left."""
        return [
            CellTask(
                project=self.project,
                data_root=self.data_root,
                env=self.env,
                overrides=cell.overrides,
                digest=cell.digest,
                cell=cell.name,
                threads=threads,
            )
            for cell in self.state().todo
        ]

    def keep_list(self) -> None:
        """Write down which cells this grid has, for its tables."""
        listed = [
            ListedCell(digest=cell.digest, cell=cell.name, set=cell.set, variant=cell.variant)
            for cell in self.cells
        ]
        self.folder.write_list(self.plan.name, self.plan.note, listed)

    def tabulate(self) -> Any:  # noqa: ANN401 - a data frame
        """Make what is over the grid's cells and over all cells; return one row a cell and strategy."""
        last = self.state().done[-1]
        with kept_apart(self.project, self.folder.log_path(f"{self.plan.name}-tables")):
            of_one_cell = KedroSession.create(
                self.project, env=self.env or None, runtime_params=dict(last.overrides)
            )
            with of_one_cell:
                of_one_cell.run(node_names=shared_nodes())
            asked = {"data_root": self.data_root.as_posix(), "grid": self.plan.name}
            session = KedroSession.create(self.project, runtime_params=asked)
            with session:
                session.run(pipeline_names=["grid_report"])
                return session.load_context().catalog.load("grid_results")


def open_grid(
    project: Path,
    file: Path,
    *,
    env: str | None,
    params: Mapping[str, Any],
    variables: Mapping[str, str],
) -> Grid:
    """Return the grid of a file, every cell's parameters checked.

    Args:
        project: folder of the Kedro project.
        file: of the grid.
        env: instead of the file's own, if given.
        params: nested, on top of all other parameters.
        variables: values of the file's variables.

    Raises:
        GridError: the file is no grid, or asks for what makes none.
        ParameterError: no run would accept the parameters of a cell.
    """
    plan = read_plan(file, variables)
    chosen = env or plan.env
    bootstrap_project(project)
    session = KedroSession.create(project, env=chosen or None)
    with session:
        base = session.load_context().config_loader["parameters"]
    cells = expand(plan, base, params)
    return Grid(project=project, plan=plan, env=chosen, params=params, cells=tuple(cells))
