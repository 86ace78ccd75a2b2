"""Commands: ``kedro run``, with errors a user can read, and ``kedro irp …``."""

import sys
from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.cli.utils import CONTEXT_SETTINGS
from kedro.io import DatasetError

from irp_kedro.errors import IrpError

RUN: Any = kedro_run.callback


@click.group(context_settings=CONTEXT_SETTINGS, name="irp_kedro")
def cli() -> None:
    """Commands of irp-kedro."""


def _run_or_explain(*, traceback: bool, **arguments: Any) -> Any:  # noqa: ANN401 - Kedro's own arguments
    try:
        return RUN(**arguments)
    except Exception as error:
        fault = _own_error(error)
        if traceback or fault is None:
            raise
        click.secho(f"Error: {fault}", fg="red", err=True)
        click.echo("(--traceback shows where it was raised)", err=True)
        sys.exit(1)


def _own_error(error: BaseException | None) -> BaseException | None:
    """Return the explained error that ``error`` is or was raised from, if there is one."""
    while error is not None:
        if isinstance(error, (IrpError, DatasetError)):
            return error
        error = error.__cause__ or error.__context__
    return None


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
