"""``kedro irp export``."""

import json
from pathlib import Path
from typing import Any

import click

from irp_kedro.commands.shared import common_options, explained


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--to", "target", required=True, type=click.Path(path_type=Path), help="The .onnx file.")
@common_options
def export(
    model: Path, target: Path, env: str | None, params: dict[str, Any], as_json: bool, traceback: bool
) -> None:
    """Write a saved MODEL as one ONNX graph, from prepared pixels to the score.

    Rotated views, backbone and detector are inside. The input `images` is (n, size, size, 3), uint8 RGB,
    cropped and resized as the metadata `irp_kedro` says, where the threshold stands too; the output `scores` is
    (n,). `kedro irp score FILE.onnx FOLDER` uses it through onnxruntime. Needs the extra onnx.
    """
    with explained(traceback=traceback):
        from irp_kedro.datasets.saved_scorer import read_saved
        from irp_kedro.exporting import write_onnx

        facts = write_onnx(read_saved(model.expanduser()), target.expanduser())
    if as_json:
        click.echo(json.dumps({"file": target.as_posix(), **facts}, indent=2))
        return
    click.echo(
        f"{target}: {facts['detector']} on {facts['backbone']}, images {facts['size']} x {facts['size']}, "
        f"anomalous above {facts['threshold']:.4g}"
    )
    if facts["trained_in"] != "float32":
        click.echo(
            f"It was trained on features in {facts['trained_in']}, the graph is float32: scores differ by some "
            "percent. Trained with --params features.precision=float32 they do not."
        )
