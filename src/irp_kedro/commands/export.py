"""``kedro irp export``."""

import json
from pathlib import Path
from typing import Any

import click

from irp_kedro.commands.shared import common_options, explained


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--to", "target", required=True, type=click.Path(path_type=Path), help="The .onnx file.")
@click.option(
    "--images",
    type=click.Path(path_type=Path),
    help="Folder of unlabelled images to fit the threshold by; left out: the training images, if still there.",
)
@common_options
def export(
    model: Path,
    target: Path,
    images: Path | None,
    env: str | None,
    params: dict[str, Any],
    as_json: bool,
    traceback: bool,
) -> None:
    """Write a saved MODEL as one ONNX graph, from prepared pixels to the score.

    Rotated views, backbone and detector are inside. The input `images` is (n, size, size, 3), uint8 RGB,
    cropped and resized as the metadata `irp_kedro` says, where the threshold stands too; the output `scores` is
    (n,). `kedro irp score FILE.onnx FOLDER` uses it through onnxruntime. The graph calculates in float32; the
    threshold of a model that was trained in bfloat16 is fitted to that. Needs the extra onnx.
    """
    with explained(traceback=traceback):
        from irp_kedro.datasets.saved_scorer import fitting_images, read_saved
        from irp_kedro.datasets.scored_images import find_images
        from irp_kedro.exporting import write_onnx

        model, target = model.expanduser(), target.expanduser()
        saved = read_saved(model)
        others = find_images(images.expanduser()) if images else []
        facts = write_onnx(saved, target, fitting_images(saved, model, others))
    if as_json:
        click.echo(json.dumps({"file": target.as_posix(), **facts}, indent=2))
        return
    click.echo(
        f"{target}: {facts['detector']} on {facts['backbone']}, images {facts['size']} x {facts['size']}, "
        f"anomalous above {facts['threshold']:.4g}"
    )
    if facts["trained_in"] != "float32":
        click.echo(_difference(facts))


def _difference(facts: dict[str, Any]) -> str:
    """Return by how much the scores of the graph differ from those that the model gave where it was trained."""
    both = f"It was trained in {facts['trained_in']}, the graph is float32"
    same = "`kedro irp score MODEL FOLDER --precision float32` gives the same scores."
    if not facts["fit"]:
        return (
            f"{both}: scores differ by some percent, and no image was at hand to fit the threshold by; name a "
            "folder of some with --images, or train with "
            f"--params features.precision=float32,training.precision=float32. {same}"
        )
    fit, before = facts["fit"], facts["trained_threshold"]
    return (
        f"{both}: on {fit['n_images']} images scores differ by {fit['shift']:+.4g} (+- {fit['spread']:.2g}), "
        f"so the threshold moved from {before:.4g} to {facts['threshold']:.4g}. {same}"
    )
