"""What every command has: options, checked parameters, errors a user can read."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from kedro.framework.cli.utils import _split_params
from kedro.framework.session import KedroSession
from kedro.io import DatasetError
from rich.console import Console
from rich.logging import RichHandler

from irp_kedro.errors import IrpError
from irp_kedro.parameters import Parameters, check_parameters

OPTIONS = (
    click.option("--env", "-e", default=None, help="Configuration environment, as of kedro run."),
    click.option("--params", default="", callback=_split_params, help="Parameters to change, as of kedro run."),
    click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines."),
    click.option("--traceback", is_flag=True, help="Show the whole traceback of an error."),
)


def common_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that every command takes."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


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


def logs_to_stderr() -> None:
    """Leave standard output to what a command prints, so that ``--json`` can be piped."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, RichHandler):
            handler.console = Console(stderr=True)


def read_parameters(env: str | None, params: dict[str, Any]) -> Parameters:
    """Return the merged and checked parameters of the project in the current folder.

    Raises:
        ParameterError: naming every fault at once.
    """
    session = KedroSession.create(Path.cwd(), env=env, runtime_params=params)
    with session:
        return check_parameters(session.load_context().params)


def _own_error(error: BaseException | None) -> BaseException | None:
    """Return the explained error that ``error`` is or was raised from, if there is one; ours before Kedro's."""
    of_kedro: DatasetError | None = None
    while error is not None:
        if isinstance(error, IrpError):
            return error
        if isinstance(error, DatasetError):
            of_kedro = of_kedro or error
        error = error.__cause__ or error.__context__
    return of_kedro
