"""A grid on the terminal: its plan, a table that lives while cells run, and what came out."""

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

import pandas as pd
from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from irp_kedro.datasets.grid_records import CellRecord
from irp_kedro.grid.cells import GridCell
from irp_kedro.grid.estimate import Estimate, GridState
from irp_kedro.lineage.code_state import source_digest

SHOWN_ENDED = 8
STYLES = {"done": "green", "failed": "red", "running": "cyan", "again": "yellow"}


def show_plan(console: Console, name: str, state: GridState, forecast: Estimate, *, workers: int) -> None:
    """Print every cell with its state, the banks they share, and the time they may take."""
    axes = list(dict.fromkeys(name for cell in state.cells for name in cell.labels))
    table = Table(title=f"grid {name}", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for column in (*axes, "cell", "bank", "state"):
        table.add_column(column, no_wrap=column in {"cell", "bank", "state"})
    for cell in state.cells:
        status = state.status(cell)
        values = [cell.labels.get(axis, "") for axis in axes]
        table.add_row(*values, cell.name[-8:], "+".join(cell.banks), Text(status, style=STYLES.get(status, "")))
    console.print(table)
    console.print(
        describe_plan(state, forecast, workers=workers), soft_wrap=True, highlight=False, markup=False
    )
    console.print(describe_code(state, source_digest()), soft_wrap=True, highlight=False, markup=False, end="")


def describe_plan(state: GridState, forecast: Estimate, *, workers: int) -> str:
    """Return how much there is to do, in a line or two."""
    banks = f"{len(state.banks)} feature bank{'s' if len(state.banks) > 1 else ''}"
    lines = [
        f"{len(state.cells)} cells: {len(state.done)} done, {len(state.todo)} to do; they share {banks}, each "
        "extracted once."
    ]
    if not state.todo:
        return lines[0]
    if forecast.seconds is None:
        lines.append(f"Time: unknown ({forecast.basis}).")
    elif forecast.assumed:
        lines.append(f"Time: about {as_time(forecast.seconds)} of one worker ({forecast.basis}).")
    else:
        lines.append(
            f"Time: about {as_time(forecast.seconds / workers)} with {workers} "
            f"worker{'s' if workers > 1 else ''} ({as_time(forecast.seconds)} of one; {forecast.basis})."
        )
    return "\n".join(lines)


def describe_code(state: GridState, code: str) -> str:
    """Return how many finished cells today's code did not make, if any: they are kept all the same."""
    other = len(state.made_by_other_code(code))
    if not other:
        return ""
    return (
        f"{other} of the finished cells were made by another version of the code. To run them again, delete "
        "their records: the JSON files in data_root/grid/cells.\n"
    )


def as_time(seconds: float) -> str:
    """Return hours, minutes and seconds.

    >>> as_time(3723.4)
    '1:02:03'
    """
    return str(timedelta(seconds=round(seconds)))


class LiveTable:
    """What runs, what has ended last, and how much is left; an :class:`~irp_kedro.grid.execution.Observer`.

    Args:
        console: of the terminal; where it is none, each cell that ends is a line.
        cells: that will run.
        dashboard: address of Dask's, or nothing.
    """

    def __init__(self, console: Console, cells: Sequence[GridCell], dashboard: str = "") -> None:
        self._console = console
        self._names = {cell.digest: cell.name for cell in cells}
        self._dashboard = dashboard
        self._running: dict[str, tuple[str, float]] = {}
        self._ended: list[tuple[CellRecord, bool]] = []
        self._bar = Progress(
            TextColumn("cells"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), console=console
        )
        self._task = self._bar.add_task("cells", total=len(cells))
        self._live = Live(console=console, get_renderable=self._draw, refresh_per_second=2, transient=True)

    def __enter__(self) -> Self:
        """Begin to draw."""
        if self._dashboard:
            self._console.print(f"Dask's dashboard: {self._dashboard}", highlight=False)
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the terminal as it was."""
        self._live.stop()

    def started(self, digest: str, worker: str) -> None:
        """Note that a worker has begun a cell."""
        self._running[digest] = (worker, time.monotonic())

    def ended(self, record: CellRecord, *, again: bool) -> None:
        """Note that a cell has ended."""
        self._running.pop(record.digest, None)
        self._ended.append((record, again))
        self._bar.advance(self._task, 0 if again else 1)
        if not self._console.is_terminal:
            self._console.print(self._line(record, again=again), soft_wrap=True, highlight=False, markup=False)

    def _line(self, record: CellRecord, *, again: bool) -> str:
        said = f"{record.cell}: {record.status}, {as_time(record.seconds)}"
        if record.status == "failed":
            said += f": {record.error}" + (" (once more)" if again else "")
        return said

    def _draw(self) -> Group:
        table = Table(box=None, padding=(0, 2, 0, 0))
        for column in ("cell", "state", "time", "worker"):
            table.add_column(column, no_wrap=True)
        for record, again in self._ended[-SHOWN_ENDED:]:
            state = "again" if again else record.status
            table.add_row(record.cell, Text(state, style=STYLES[state]), as_time(record.seconds), "")
        now = time.monotonic()
        for digest, (worker, since) in list(self._running.items()):
            name = self._names.get(digest, digest)
            table.add_row(name, Text("running", style=STYLES["running"]), as_time(now - since), worker)
        return Group(table, self._bar)


def show_results(console: Console, results: pd.DataFrame) -> None:
    """Print the mean AUROC of each strategy by set and level, over seeds."""
    table = Table(title="image AUROC, mean over seeds", title_justify="left", box=None, padding=(0, 2, 0, 0))
    means = results.pivot_table(
        index=["set", "variant", "level"], columns="strategy", values="image_auroc", sort=False, dropna=False
    ).dropna(how="all")
    for column in ("set", "variant", "level", *map(str, means.columns)):
        table.add_column(column, justify="left" if column in {"set", "variant"} else "right")
    for (name, variant, level), row in zip(means.index, means.to_numpy(), strict=True):
        table.add_row(name, variant, f"{level:g}", *[_score(value) for value in row])
    console.print(table)


def _score(value: float) -> str:
    return "-" if pd.isna(value) else f"{value:.3f}"


def as_rows(state: GridState) -> list[Mapping[str, Any]]:
    """Return the cells with their states, for machines."""
    return [
        {
            "cell": cell.name,
            "digest": cell.digest,
            "banks": list(cell.banks),
            "state": state.status(cell),
            **{f"axis {name}": label for name, label in cell.labels.items()},
        }
        for cell in state.cells
    ]
