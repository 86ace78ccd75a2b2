"""From a model's file to something that scores prepared images."""

from pathlib import Path

from safetensors import SafetensorError

from irp_kedro.datasets.model import read_model
from irp_kedro.detectors.settings import TrainedDetector
from irp_kedro.errors import ModelError
from irp_kedro.onnx_scoring import OnnxScorer
from irp_kedro.scoring import SavedScorer, Scorer


def open_scorer(path: Path, device: str, batch_views: int) -> Scorer:
    """Return the scorer of a ``model.safetensors``, or of an ``.onnx`` that was made of one.

    Args:
        path: the file.
        device: as the parameter.
        batch_views: views that pass the backbone together.

    Raises:
        ModelError: there is no such file, or it is no model of this project that can be used alone.
    """
    if path.suffix == ".onnx" and path.is_file():
        return OnnxScorer(path, device)
    return SavedScorer(read_saved(path), device, batch_views)


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
