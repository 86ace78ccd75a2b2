"""``kedro irp score``."""

import csv
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from irp_kedro.commands.shared import common_options, explained, read_parameters
from irp_kedro.errors import ParameterError
from irp_kedro.writing import file_aside

if TYPE_CHECKING:
    from irp_kedro.datasets.scored_images import ScoredImage
    from irp_kedro.scoring import Scorer

COLUMNS = ("path", "score", "threshold", "verdict")
UNFITTED = (
    "The threshold was measured in bfloat16, these scores are float32 and some percent off, so verdicts near "
    "it are unsure. With images at hand it is fitted: kedro irp export MODEL --to FILE.onnx --images FOLDER"
)


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Folder for scores.csv and maps/.")
@click.option("--maps", is_flag=True, help="Also draw where each score comes from, into OUT/maps.")
@click.option("--device", default=None, help="auto, cpu, cuda or cuda:1; left out: the parameter.")
@click.option(
    "--precision",
    type=click.Choice(["trained", "float32"]),
    default="trained",
    show_default=True,
    help="float32: the scores of the model's .onnx, whatever it was trained in.",
)
@common_options
def score(
    model: Path,
    folder: Path,
    out: Path | None,
    maps: bool,
    device: str | None,
    precision: str,
    env: str | None,
    params: dict[str, Any],
    as_json: bool,
    traceback: bool,
) -> None:
    """Score the images in FOLDER, and below it, with a saved MODEL.

    MODEL is a model.safetensors of this project (data/06_models/<cell>/<strategy>), or what `kedro irp export`
    made of one. An image is anomalous above the threshold that is stored with the model. Files that cannot be
    read are named and skipped.
    """
    from irp_kedro.datasets.saved_scorer import open_scorer
    from irp_kedro.datasets.scored_images import find_images

    with explained(traceback=traceback):
        if maps and not out:
            raise ParameterError("--maps draws pictures into a folder; name it with --out.")
        parameters = read_parameters(env, {**params, **({"device": device} if device else {})})
        folder, out = folder.expanduser(), out.expanduser() if out else None
        paths = find_images(folder)
        batch_views, float32 = parameters.features.batch_views, precision == "float32"
        scorer = open_scorer(model.expanduser(), parameters.device, batch_views, float32=float32)
        n_views = parameters.evaluation.map_views if maps else 0
        images, seconds = _score(scorer, paths, folder, (out or Path()) / "maps", n_views)
        if out:
            _write_table(out / "scores.csv", images, scorer.threshold)
    if not scorer.threshold_fits:
        click.secho(UNFITTED, fg="yellow", err=True)
    summary = _summary(images, seconds)
    if as_json:
        rows = [{**_row(image, scorer.threshold), "fault": image.fault} for image in images]
        click.echo(json.dumps({"model": model.as_posix(), **summary, "images": rows}, indent=2))
        return
    if not out:
        for image in images:
            value = "" if image.score is None else f"{image.score:.4g}"
            click.echo(f"{image.verdict:<10}  {value:>10}  {image.path}")
    _show(images, summary, scorer.threshold, out, maps=maps)


def _score(
    scorer: "Scorer", paths: Sequence[Path], folder: Path, drawn: Path, n_views: int
) -> tuple[list["ScoredImage"], float]:
    """Return the scored images without their pixels, and the seconds that took; draw their maps meanwhile."""
    import numpy as np

    from irp_kedro.datasets.scored_images import map_path, score_files, write_heat_map

    # What is loaded at the first call is no image's time.
    scorer.score([np.zeros((*scorer.preparation.shape, 3), np.uint8)])
    images: list[ScoredImage] = []
    started, drawing = time.perf_counter(), 0.0
    with click.progressbar(score_files(scorer, paths), length=len(paths), file=sys.stderr) as bar:
        for image in bar:
            if n_views and image.pixels is not None:
                before = time.perf_counter()
                (shown,) = scorer.maps([image.pixels], n_views=n_views)
                write_heat_map(map_path(drawn, folder, image.path), image.pixels, shown, scorer.map_range())
                drawing += time.perf_counter() - before
            images.append(replace(image, pixels=None))
    return images, time.perf_counter() - started - drawing


def _row(image: "ScoredImage", threshold: float) -> dict[str, Any]:
    values = (image.path.as_posix(), image.score, threshold, image.verdict)
    return dict(zip(COLUMNS, values, strict=True))


def _write_table(path: Path, images: Sequence["ScoredImage"], threshold: float) -> None:
    with file_aside(path) as aside, aside.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        table.writerows(_row(image, threshold) for image in images)


def _summary(images: Sequence["ScoredImage"], seconds: float) -> dict[str, Any]:
    import numpy as np

    verdicts = [image.verdict for image in images]
    counts = {verdict: verdicts.count(verdict) for verdict in ("normal", "anomalous", "unreadable")}
    latencies = [image.seconds for image in images if image.score is not None]
    p50, p99 = np.quantile(latencies, [0.5, 0.99]) * 1000 if latencies else (None, None)
    speed = len(latencies) / seconds if latencies else None
    return {**counts, "images_per_second": speed, "latency_ms": {"p50": p50, "p99": p99}}


def _show(
    images: Sequence["ScoredImage"], summary: dict[str, Any], threshold: float, out: Path | None, *, maps: bool
) -> None:
    for image in images:
        if image.fault:
            click.secho(f"{image.path}: {image.fault}", fg="yellow", err=True)
    click.echo(
        f"{len(images)} images: {summary['anomalous']} anomalous (above {threshold:.4g}), "
        f"{summary['normal']} normal, {summary['unreadable']} unreadable"
    )
    if summary["images_per_second"]:
        latency = summary["latency_ms"]
        click.echo(
            f"{summary['images_per_second']:.1f} images/s{', maps apart' if maps else ''}; "
            f"from file to score: p50 {latency['p50']:.0f} ms, p99 {latency['p99']:.0f} ms"
        )
    if out:
        click.echo(f"Table: {out / 'scores.csv'}")
