"""Commands: ``kedro run``, with errors a user can read, and ``kedro irp …``."""

from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.cli.utils import CONTEXT_SETTINGS

from irp_kedro.commands.calibrate import calibrate
from irp_kedro.commands.export import export
from irp_kedro.commands.grid import grid
from irp_kedro.commands.lineage import diff, lineage, restore, verify
from irp_kedro.commands.score import score
from irp_kedro.commands.shared import explained, logs_to_stderr

RUN: Any = kedro_run.callback


@click.group(context_settings=CONTEXT_SETTINGS, name="irp_kedro")
def cli() -> None:
    """Commands of irp-kedro."""


def _run_or_explain(*, traceback: bool, **arguments: Any) -> Any:  # noqa: ANN401 - Kedro's own arguments
    with explained(traceback=traceback):
        return RUN(**arguments)


traceback_option = click.Option(
    ["--traceback"], is_flag=True, help="Show the whole traceback of an error that has an explanation."
)
cli.add_command(
    click.Command(
        name="run",
        callback=_run_or_explain,
        params=[*kedro_run.params, traceback_option],
        help=kedro_run.help,
        context_settings=CONTEXT_SETTINGS,
    )
)


@cli.group(name="irp")
def irp() -> None:
    """Clean contaminated image sets: commands beside ``kedro run``."""
    logs_to_stderr()


for command in (lineage, diff, restore, verify, calibrate, grid, score, export):
    irp.add_command(command)
