"""Commands: ``kedro run``, with errors a user can read, and ``kedro irp …``."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from kedro.framework.cli.project import run as kedro_run
from kedro.framework.cli.utils import CONTEXT_SETTINGS, _split_params
from kedro.framework.session import KedroSession
from kedro.io import DatasetError

from irp_kedro.errors import IrpError

RUN: Any = kedro_run.callback


@click.group(context_settings=CONTEXT_SETTINGS, name="irp_kedro")
def cli() -> None:
    """Commands of irp-kedro."""


@contextmanager
def explained(*, traceback: bool) -> Iterator[None]:
    """End a command with one message where the error inside it has an explanation."""
    try:
        yield
    except Exception as error:
        fault = _own_error(error)
        if traceback or fault is None:
            raise
        click.secho(f"Error: {fault}", fg="red", err=True)
        click.echo("(--traceback shows where it was raised)", err=True)
        sys.exit(1)


def _run_or_explain(*, traceback: bool, **arguments: Any) -> Any:  # noqa: ANN401 - Kedro's own arguments
    with explained(traceback=traceback):
        return RUN(**arguments)


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


@irp.command()
@click.option("--env", "-e", default=None, help="Configuration environment, as of kedro run.")
@click.option("--params", default="", callback=_split_params, help="Parameters to change, as of kedro run.")
@click.option("--json", "as_json", is_flag=True, help="Print the table as JSON, for machines.")
@click.option("--traceback", is_flag=True, help="Show the whole traceback of an error.")
def calibrate(env: str | None, params: dict[str, Any], as_json: bool, traceback: bool) -> None:
    """Choose the threshold factor by what it removes from a set known to be clean.

    Runs ingestion, contamination (at level 0), features and calibration on the images that --params name, and
    prints the share of good images removed for each factor. Nothing of the configuration is changed: put the
    chosen factor into conf/, or give it to kedro run.
    """
    with explained(traceback=traceback):
        table = _calibrate(env, params)
    if as_json:
        click.echo(table.to_json(orient="records"))
        return
    for row in table.itertuples():
        mark = "  <- within calibration.false_removal_rate" if row.chosen else ""
        click.echo(f"refinement.{row.parameter} = {row.factor:<5g} removes {row.false_removal_rate:.1%}{mark}")


def _calibrate(env: str | None, params: dict[str, Any]) -> Any:  # noqa: ANN401 - a data frame
    clean = {**params, "contamination": {**params.get("contamination", {}), "level": 0.0}}
    pipelines = ["ingestion", "contamination", "features", "calibration"]
    session = KedroSession.create(Path.cwd(), env=env, runtime_params=clean)
    with session:
        session.run(pipeline_names=pipelines)
        return session.load_context().catalog.load("calibration_table")
