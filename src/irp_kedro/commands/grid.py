"""``kedro irp grid``."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from irp_kedro.commands.shared import common_options, explained
from irp_kedro.errors import GridError

if TYPE_CHECKING:
    from distributed import Client

    from irp_kedro.grid.session import Grid


@click.command()
@click.option(
    "--grid", "file", required=True, type=click.Path(path_type=Path, dir_okay=False), help="Its file."
)
@click.option("--dry-run", is_flag=True, help="Show the cells, what is done and about how long the rest takes.")
@click.option(
    "--workers", type=click.IntRange(min=1), help="Processes; one a core, or one a GPU, if not given."
)
@click.option(
    "--threads", type=click.IntRange(min=1), help="Of each worker; its share of the cores if not given."
)
@click.option("--scheduler", default="", help="Address of a Dask scheduler whose workers are used.")
@click.option("--set", "variables", multiple=True, metavar="NAME=VALUE", help="A variable of the grid's file.")
@common_options
def grid(
    file: Path,
    dry_run: bool,
    workers: int | None,
    threads: int | None,
    scheduler: str,
    variables: tuple[str, ...],
    env: str | None,
    params: dict[str, Any],
    as_json: bool,
    traceback: bool,
) -> None:
    """Run many cells, each a `kedro run` of its own, and end in tables and figures over all of them.

    Finished cells are kept: the same command goes on after an interruption. A cell that fails is tried once
    more, then reported while the rest goes on; the exit status is 1 if one has failed.
    """
    from irp_kedro.grid.session import open_grid

    with explained(traceback=traceback):
        asked = open_grid(Path.cwd(), file, env=env, params=params, variables=_pairs(variables))
        if dry_run:
            _show_plan(asked, workers, scheduler, as_json=as_json)
            return
        try:
            failed = _run(asked, workers, threads, scheduler, as_json=as_json)
        except KeyboardInterrupt:
            done = len(asked.state().done)
            click.echo(
                f"Interrupted: {done} of {len(asked.cells)} cells are done. The same command goes on.", err=True
            )
            sys.exit(130)
    sys.exit(1 if failed else 0)


def _pairs(variables: tuple[str, ...]) -> dict[str, str]:
    for text in variables:
        if "=" not in text:
            raise GridError(f"--set {text} names no value; write --set {text}=VALUE")
    return dict(text.split("=", 1) for text in variables)


def _show_plan(asked: "Grid", workers: int | None, scheduler: str, *, as_json: bool) -> None:
    from rich.console import Console

    from irp_kedro.grid.display import as_rows, show_plan
    from irp_kedro.grid.estimate import estimate

    state = asked.state()
    forecast = estimate(state, asked.plan.cost)
    count = _count_workers(asked, workers, scheduler) if state.todo else 1
    if as_json:
        told = {"seconds": forecast.seconds, "basis": forecast.basis, "workers": count}
        click.echo(json.dumps({"grid": asked.plan.name, "cells": as_rows(state), "estimate": told}, indent=2))
        return
    show_plan(Console(), asked.plan.name, state, forecast, workers=count)


def _count_workers(asked: "Grid", workers: int | None, scheduler: str) -> int:
    """Return how many workers of a run would have something to do."""
    if scheduler:
        with _client(asked, None, None, scheduler) as (client, told):
            from irp_kedro.grid.cluster import count_workers

            count = count_workers(client, gpus=told["resources"] is not None)
    else:
        count, _, _ = _share(asked, workers, None)
    return min(count, len(asked.state().todo))


def _share(asked: "Grid", workers: int | None, threads: int | None) -> tuple[int, int, bool]:
    """Return workers and threads of each on this machine, and whether each has a GPU of its own."""
    from irp_kedro.grid.estimate import count_gpus, share_cores

    todo, gpus = len(asked.state().todo), count_gpus(asked.cells[0].parameters.device)
    count, each = share_cores(workers=workers or min(gpus, todo), threads=threads or 0, cells=todo)
    return count, each, gpus > 0


def _run(
    asked: "Grid", workers: int | None, threads: int | None, scheduler: str, *, as_json: bool
) -> Mapping[str, str]:
    """Run what is left, make the tables, show both; return the errors of the cells that failed."""
    from rich.console import Console

    from irp_kedro.grid.display import as_rows, describe_code, show_results
    from irp_kedro.lineage.code_state import source_digest

    asked.keep_list()
    todo = asked.state().todo
    terminal = Console(stderr=as_json)
    if todo:
        with _client(asked, workers, threads, scheduler) as (client, told):
            _execute(asked, client, told, terminal)
    state = asked.state()
    terminal.print(describe_code(state, source_digest()), soft_wrap=True, highlight=False, end="")
    failed = {cell.name: state.records[cell.digest].error for cell in state.todo}
    if state.done:
        results = asked.tabulate()
        if not as_json:
            show_results(terminal, results)
    if as_json:
        click.echo(json.dumps({"grid": asked.plan.name, "cells": as_rows(state), "failed": failed}, indent=2))
    else:
        click.echo(f"{len(state.done)} of {len(state.cells)} cells done ({len(todo)} of them now).")
        click.echo(f"Tables and figures: {asked.results}")
    for name, error in failed.items():
        click.secho(f"{name} failed: {error}", fg="red", err=True)
    if failed:
        click.echo(
            f"What they printed: {asked.folder.log_path('*')}. The same command tries them again.", err=True
        )
    return failed


@contextmanager
def _client(
    asked: "Grid", workers: int | None, threads: int | None, scheduler: str
) -> Iterator[tuple["Client", dict[str, Any]]]:
    """Yield a client of the cluster, with the threads and the resources that a cell takes."""
    try:
        from irp_kedro.grid import cluster
    except ModuleNotFoundError as error:
        raise GridError(
            f"A grid runs on Dask, and '{error.name}' is not installed: pip install 'irp-kedro[grid]'"
        ) from error
    if scheduler:
        device = asked.cells[0].parameters.device
        with cluster.remote_client(scheduler, gpus=device == "cuda") as client:
            offers = any(offered.get("GPU") for offered in cluster.worker_resources(client))
            gpus = device == "cuda" or (device == "auto" and offers)
            yield client, {"threads": threads or 0, "resources": cluster.GPU if gpus else None}
        return
    count, each, gpus = _share(asked, workers, threads)
    with cluster.local_client(workers=count, threads=each, gpus=gpus) as client:
        yield client, {"threads": each, "resources": cluster.GPU if gpus else None}


def _execute(asked: "Grid", client: "Client", told: Mapping[str, Any], terminal: Any) -> None:  # noqa: ANN401
    from irp_kedro.grid.cluster import dashboard_address
    from irp_kedro.grid.display import LiveTable
    from irp_kedro.grid.execution import execute

    cells = asked.state().todo
    with LiveTable(terminal, cells, dashboard_address(client)) as table:
        execute(client, asked.tasks(threads=told["threads"]), table, resources=told["resources"])
