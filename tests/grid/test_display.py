import io
from collections.abc import Callable

import pandas as pd
from rich.console import Console

from irp_kedro.datasets.grid_records import CellRecord
from irp_kedro.grid.cells import GridCell
from irp_kedro.grid.display import (
    LiveTable,
    as_rows,
    describe_code,
    describe_plan,
    show_plan,
    show_results,
)
from irp_kedro.grid.estimate import Estimate, GridState

CellsOf = Callable[..., list[GridCell]]
RecordOf = Callable[..., CellRecord]


def console(*, terminal: bool = False) -> Console:
    return Console(file=io.StringIO(), width=120, force_terminal=terminal, color_system=None)


def shown(screen: Console) -> str:
    assert isinstance(screen.file, io.StringIO)
    return screen.file.getvalue()


def test_a_plan_shows_every_cell_with_its_axes_and_its_state(cells_of: CellsOf, record_of: RecordOf) -> None:
    cells = cells_of(axes={"contamination.level": [0.0, 0.3]})
    state = GridState(cells=cells, records={cells[0].digest: record_of(cells[0], seconds=30.0)})
    screen = console()
    show_plan(screen, "a", state, Estimate(seconds=60.0, basis="from 1 finished cells"), workers=2)
    rows = [line.split() for line in shown(screen).splitlines()]
    assert ["seed", "contamination.level", "cell", "bank", "state"] in rows
    assert ["0", "0.0", cells[0].digest, "+".join(cells[0].banks), "done"] in rows
    assert ["0", "0.3", cells[1].digest, "+".join(cells[1].banks), "to", "do"] in rows
    assert "2 cells: 1 done, 1 to do; they share" in shown(screen)
    assert "about 0:00:30 with 2 workers" in shown(screen)


def test_time_by_assumed_rates_is_not_shared_among_the_workers_of_this_machine(cells_of: CellsOf) -> None:
    state = GridState(cells=cells_of(seeds=[0, 1]), records={})
    forecast = Estimate(seconds=60.0, basis="rates assumed for a GPU", assumed=True)
    said = describe_plan(state, forecast, workers=2)
    assert said.endswith("Time: about 0:01:00 of one worker (rates assumed for a GPU).")


def test_a_plan_says_when_there_is_nothing_to_tell_the_time_from(cells_of: CellsOf) -> None:
    state = GridState(cells=cells_of(), records={})
    assert "Time: unknown" in describe_plan(state, Estimate(seconds=None, basis="nothing"), workers=1)


def test_a_finished_plan_has_no_time(cells_of: CellsOf, record_of: RecordOf) -> None:
    cells = cells_of()
    state = GridState(cells=cells, records={cells[0].digest: record_of(cells[0])})
    assert "Time" not in describe_plan(state, Estimate(seconds=0.0, basis=""), workers=1)


def test_finished_cells_of_other_code_are_counted(cells_of: CellsOf, record_of: RecordOf) -> None:
    first, second, third = cells_of(seeds=[0, 1, 2])
    records = [record_of(first, code="today"), record_of(second, code="before"), record_of(third, "failed")]
    state = GridState(cells=[first, second, third], records={record.digest: record for record in records})
    assert describe_code(state, "today").startswith("1 of the finished cells were made by another version")
    assert describe_code(state, "other").startswith("2 of")
    assert describe_code(GridState(cells=[first], records={}), "today") == ""


def test_where_there_is_no_terminal_each_cell_that_ends_is_a_line(
    cells_of: CellsOf, record_of: RecordOf
) -> None:
    first, second = cells_of(seeds=[0, 1])
    screen = console()
    with LiveTable(screen, [first, second], "http://here") as table:
        table.started(first.digest, "0")
        table.ended(record_of(first, "failed", error="No [image]."), again=True)
        table.ended(record_of(second, seconds=61.0), again=False)
    lines = shown(screen).splitlines()
    assert lines[0] == "Dask's dashboard: http://here"
    assert lines[1] == f"{first.name}: failed, 0:00:00: No [image]. (once more)"
    assert lines[2] == f"{second.name}: done, 0:01:01"


def test_the_live_table_shows_what_runs_and_what_has_ended(cells_of: CellsOf, record_of: RecordOf) -> None:
    first, second = cells_of(seeds=[0, 1])
    screen = console(terminal=True)
    table = LiveTable(screen, [first, second])
    table.started(first.digest, "worker-0")
    table.ended(record_of(second), again=False)
    screen.print(table._draw())
    rows = {line.split()[0]: line.split()[1:] for line in shown(screen).splitlines() if line.strip()}
    assert rows[second.name][0] == "done"
    assert (rows[first.name][0], rows[first.name][2]) == ("running", "worker-0")
    assert "1/2" in rows["cells"]


def test_results_are_means_over_seeds() -> None:
    rows = [("vanilla", 0, 0.7), ("vanilla", 1, 0.8), ("oracle", 0, 0.9), ("oracle", 1, 0.9)]
    table = pd.DataFrame(rows, columns=["strategy", "seed", "image_auroc"])
    screen = console()
    show_results(screen, table.assign(set="pill", variant="-", level=0.3))
    assert ["pill", "-", "0.3", "0.750", "0.900"] in [line.split() for line in shown(screen).splitlines()]


def test_machines_get_the_cells_with_their_axes(cells_of: CellsOf) -> None:
    (cell,) = cells_of(axes={"contamination.level": [0.3]})
    (row,) = as_rows(GridState(cells=[cell], records={}))
    assert (row["cell"], row["state"], row["axis contamination.level"]) == (cell.name, "to do", "0.3")
