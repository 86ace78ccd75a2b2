"""From a model's file to something that scores prepared images."""

import csv
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from safetensors import SafetensorError

from irp_kedro.datasets.image_reading import DECODE_ERRORS
from irp_kedro.datasets.model import read_model
from irp_kedro.detectors.settings import TrainedDetector
from irp_kedro.errors import ModelError
from irp_kedro.features.device import BatchViews
from irp_kedro.features.preparation import Pixels
from irp_kedro.onnx_scoring import OnnxScorer
from irp_kedro.scoring import SavedScorer, Scorer, in_float32, recipe_of, scores_in_float32

FITTED_ON = 32  # images; the mean of what another arithmetic adds to a score is known to a hundredth then
LEVELS = 4  # from a model up to its data folder: strategy, cell, layer, data folder


def open_scorer(path: Path, device: str, batch_views: BatchViews, *, float32: bool = False) -> Scorer:
    """Return the scorer of a ``model.safetensors``, or of an ``.onnx`` that was made of one.

    Args:
        path: the file.
        device: as the parameter.
        batch_views: views that pass the backbone together.
        float32: whether a model that was trained in bfloat16 scores in float32, as its ``.onnx`` does.

    Raises:
        ModelError: there is no such file, or it is no model of this project that can be used alone.
    """
    if path.suffix == ".onnx" and path.is_file():
        return OnnxScorer(path, device)
    model = read_saved(path)
    if float32:
        model = in_float32(model, fitting_images(model, path))
    return SavedScorer(model, device, batch_views)


def read_saved(path: Path) -> TrainedDetector:
    """Return the detector in a file that a user named.

    Raises:
        ModelError: there is no such file, or it is no model of this project.
    """
    if not path.is_file():
        raise ModelError(
            f"There is no model at '{path}'; name the file, "
            "such as data/06_models/<cell>/iterative_refinement/model.safetensors."
        )
    try:
        return read_model(path)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"'{path}' is no model of irp-kedro ({type(error).__name__}: {error}); "
            "a model.safetensors below data/06_models is."
        ) from error


def fitting_images(model: TrainedDetector, path: Path, others: Sequence[Path] = ()) -> list[Pixels]:
    """Return prepared images to fit a model's threshold to float32 by; none, where it fits already.

    Args:
        model: the saved detector.
        path: of its file; the set it was trained on is listed in the same data folder, if it still lies there.
        others: images to take instead.
    """
    if scores_in_float32(model):
        return []
    paths = others or training_images(path)
    chosen = [paths[number * len(paths) // FITTED_ON] for number in range(FITTED_ON)] if paths else []
    preparation = recipe_of(model).preparation
    found = []
    for image in dict.fromkeys(chosen):
        with suppress(*DECODE_ERRORS):
            found.append(preparation.read(image))
    return found


def training_images(path: Path) -> list[Path]:
    """Return the images that a model in a data folder was trained on, those that are still there."""
    if len(path.absolute().parents) < LEVELS:
        return []
    strategy, cell, _, data_root = path.absolute().parents[:LEVELS]
    listing = data_root / "05_model_input" / cell.name / strategy.name / "refined_manifest.csv"
    if not listing.is_file():
        return []
    with listing.open(newline="", encoding="utf-8") as file:
        paths = [Path(row["path"]) for row in csv.DictReader(file)]
    return [image for image in paths if image.is_file()]
