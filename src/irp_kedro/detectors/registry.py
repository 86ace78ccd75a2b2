"""Detectors by name. A new one is one file and one line in :data:`DETECTORS`."""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, Self

from irp_kedro.core.detector import AnomalyDetector
from irp_kedro.errors import ParameterError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import Tensor

    from irp_kedro.detectors.settings import DetectorSettings, TrainedDetector
    from irp_kedro.features.residence import ViewSource

Features = Literal["pooled", "patches", "fine_patches", "colours", "pixels"]


class Entry(NamedTuple):
    """How a detector is found, and what it can be told apart by without importing it.

    Attributes:
        place: dotted module, colon, class; so that the list can be read without importing torch.
        features: ``pooled`` (n_images, n_views, n_features), ``patches`` (n_images, n_patches, n_channels),
            ``fine_patches``, the same of shallower maps on a finer grid, ``colours`` of cells, (n_images,
            n_cells, 4), no network having seen them, or ``pixels`` of the prepared images, (n_images, side,
            side, 3).
        by_logarithm: scores are positive distances, compared with other judges' by their logarithm.
        leaves_one_out: scores an image of its own training set without that image; needs no cross-fitting.
        apart: as one of several judges it is heard apart, since it sees what the others do not (decision 0046).
        streams: works on features that are too large for the device and come from the host as they are needed.
        extra: optional dependency of this project that it needs, named like the package.
    """

    place: str
    features: Features = "pooled"
    by_logarithm: bool = True
    leaves_one_out: bool = False
    apart: bool = False
    streams: bool = False
    extra: str = ""


DETECTORS = {
    "differnet": Entry("irp_kedro.detectors.differnet:DifferNet", streams=True),
    "gaussian": Entry("irp_kedro.detectors.gaussian:Gaussian", streams=True),
    "patch_memory": Entry(
        "irp_kedro.detectors.patch_memory:PatchMemory",
        features="patches",
        by_logarithm=False,
        leaves_one_out=True,
    ),
    "fine_patch_memory": Entry(
        "irp_kedro.detectors.fine_patch_memory:FinePatchMemory",
        features="fine_patches",
        by_logarithm=False,
        leaves_one_out=True,
    ),
    "colour_memory": Entry(
        "irp_kedro.detectors.colour_memory:ColourMemory",
        features="colours",
        by_logarithm=False,
        leaves_one_out=True,
        apart=True,
    ),
    "soft_patch": Entry("irp_kedro.detectors.soft_patch:SoftPatch", features="patches", leaves_one_out=True),
    "isolation_forest": Entry("irp_kedro.detectors.neighbourhood:IsolationForest", streams=True),
    "local_outlier_factor": Entry("irp_kedro.detectors.neighbourhood:LocalOutlierFactor", streams=True),
    "anomalib_patchcore": Entry(
        "irp_kedro.detectors.anomalib_models:AnomalibPatchcore", features="pixels", extra="anomalib"
    ),
}


class BankDetector(AnomalyDetector, Protocol):
    """A detector that works on the feature bank and can be saved."""

    def __init__(
        self, features: "Tensor | ViewSource", settings: "DetectorSettings", name: str = "detector"
    ) -> None:
        """Bind to the features that the registry names for it."""
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
    def restore(cls, trained: "TrainedDetector", features: "Tensor | ViewSource") -> Self:
        """Return a saved detector, bound to other images' features."""
        ...


def needs_patches(names: "Iterable[str]") -> bool:
    """Return whether one of the detectors called ``names`` works on patches, or what lies beside them."""
    return any(DETECTORS[name].features in {"patches", "fine_patches", "colours"} for name in names)


def needs_fine_patches(names: "Iterable[str]") -> bool:
    """Return whether one of the detectors called ``names`` works on the finer patches."""
    return any(DETECTORS[name].features == "fine_patches" for name in names)


def needs_colours(names: "Iterable[str]") -> bool:
    """Return whether one of the detectors called ``names`` works on colours."""
    return any(DETECTORS[name].features == "colours" for name in names)


def check_detector_name(name: str, parameter: str = "detector") -> None:
    """Refuse an unknown detector, or one whose optional dependency is missing, without importing any.

    Raises:
        ParameterError: with the nearest known name, or the command that installs what is missing.
    """
    if name not in DETECTORS:
        raise ParameterError(f"{parameter} = '{name}' is no detector; {nearest(name, DETECTORS)}")
    extra = DETECTORS[name].extra
    if extra and find_spec(extra) is None:
        raise ParameterError(
            f"{parameter} = '{name}' needs the package {extra}, which is not installed here; "
            f"pip install 'irp-kedro[{extra}]'"
        )


def detector_type(name: str) -> type[BankDetector]:
    """Return the class of the detector called ``name``.

    Raises:
        ParameterError: no detector has that name.
    """
    check_detector_name(name)
    module, _, attribute = DETECTORS[name].place.partition(":")
    found: type[BankDetector] = getattr(import_module(module), attribute)
    return found
