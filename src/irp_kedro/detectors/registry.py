"""Detectors by name. A new one is one file and one line in :data:`DETECTORS`."""

from importlib import import_module
from typing import TYPE_CHECKING, Protocol, Self

from irp_kedro.core.detector import AnomalyDetector
from irp_kedro.errors import ParameterError, nearest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from irp_kedro.detectors.settings import DetectorSettings, TrainedDetector

# Dotted names, so that the list can be read without importing torch.
DETECTORS = {
    "differnet": "irp_kedro.detectors.differnet:DifferNet",
    "gaussian": "irp_kedro.detectors.gaussian:Gaussian",
}


class BankDetector(AnomalyDetector, Protocol):
    """A detector that works on the feature bank and can be saved."""

    def __init__(self, features: "Tensor", settings: "DetectorSettings", name: str = "detector") -> None:
        """Bind to features (n_images, n_views, n_features)."""
        ...

    def export(self) -> "TrainedDetector":
        """Return what a later process needs to score with it."""
        ...

    def state(self) -> dict[str, "Tensor"]:
        """Return all that training needs to go on as if it had never stopped, on the CPU."""
        ...

    def load_state(self, state: "Mapping[str, Tensor]") -> None:
        """Take a :meth:`state` back."""
        ...

    @classmethod
    def restore(cls, trained: "TrainedDetector", features: "Tensor") -> Self:
        """Return a saved detector, bound to other images' features."""
        ...


def check_detector_name(name: str, parameter: str = "detector") -> None:
    """Refuse an unknown detector without importing any.

    Raises:
        ParameterError: with the nearest known name.
    """
    if name not in DETECTORS:
        raise ParameterError(f"{parameter} = '{name}' is no detector; {nearest(name, DETECTORS)}")


def detector_type(name: str) -> type[BankDetector]:
    """Return the class of the detector called ``name``.

    Raises:
        ParameterError: no detector has that name.
    """
    check_detector_name(name)
    module, _, attribute = DETECTORS[name].partition(":")
    found: type[BankDetector] = getattr(import_module(module), attribute)
    return found
