"""``kedro irp calibrate``."""

from pathlib import Path
from typing import Any

import click
from kedro.framework.session import KedroSession

from irp_kedro.commands.shared import common_options, explained


@click.command()
@common_options
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
