"""One Gaussian over pooled features: Mahalanobis distance under a shrunk covariance. A fast second witness.

Ledoit and Wolf's shrinkage keeps the covariance invertible with fewer images than features (J. Multivariate
Analysis 88, 2004); the distance is the squared one, as scikit-learn gives it.
"""

import copy
from collections.abc import Mapping
from typing import Self

import torch
from torch import Tensor

from irp_kedro.core.detector import Rows, Scores
from irp_kedro.detectors.settings import DetectorSettings, TrainedDetector
from irp_kedro.features.device import download, upload
from irp_kedro.features.residence import ViewSource, as_views, averaged

SMALLEST_DEVIATION = 1e-3
SMALLEST_SHRINKAGE = 1e-6  # two images, or equal ones, would be shrunk by nothing and stay singular


class Gaussian:
    """Squared Mahalanobis distance of an image's features, averaged over its views, divided by their number.

    Args:
        features: (n_images, n_views, n_features).
        settings: taken for the seam's sake; nothing here is random or trained in epochs.
        name: of the detector; nothing depends on it.
    """

    def __init__(
        self, features: Tensor | ViewSource, settings: DetectorSettings, name: str = "detector"
    ) -> None:
        self.features = features
        self.settings = settings
        self.name = name
        self.averaged = averaged(as_views(features))
        self.mean: Tensor | None = None
        self.factor: Tensor | None = None
        self.deviation: Tensor | None = None

    def fit(self, rows: Rows, *, epochs: int) -> list[float]:
        """Estimate mean and covariance of ``rows`` from scratch; there are no epochs and no losses."""
        seen = self.averaged.index_select(0, upload(rows, self.averaged.device))
        self.deviation = seen.std(dim=0, correction=0).clamp_min(SMALLEST_DEVIATION)
        standardised = seen / self.deviation
        self.mean = standardised.mean(dim=0)
        self.factor = _factor(standardised - self.mean)
        return []

    def score(self, rows: Rows) -> Scores:
        """Return the distance of each image, higher = more anomalous."""
        scores: Scores = download(self.score_there(rows))
        return scores

    def score_there(self, rows: Rows) -> Tensor:
        """Return the scores where they were computed."""
        return self._distance(self.averaged.index_select(0, upload(rows, self.averaged.device)))

    def score_features(self, features: Tensor) -> Tensor:
        """Return the scores (n_images,) of features (n_images, n_views, n_features); can be differentiated."""
        return self._distance(features.float().mean(dim=1).double().to(self.averaged.device))

    def fresh(self, name: str) -> Self:
        """Return an untrained detector on the same features, averaged over views only once."""
        untrained = copy.copy(self)
        untrained.name = name
        untrained.mean = untrained.factor = untrained.deviation = None
        return untrained

    def export(self) -> TrainedDetector:
        """Return mean, scale and covariance factor."""
        mean, factor, deviation = self._statistics()
        tensors = {"mean": mean.cpu(), "factor": factor.cpu(), "deviation": deviation.cpu()}
        config = {"settings": self.settings.as_config(), "name": self.name}
        return TrainedDetector(detector="gaussian", tensors=tensors, config=config)

    def state(self) -> dict[str, Tensor]:
        """Return the statistics, if there are any: every fit starts from scratch."""
        return {} if self.mean is None else dict(self.export().tensors)

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take a :meth:`state` back."""
        if not state:
            return
        self.mean, self.factor, self.deviation = (
            state[key].to(self.averaged.device) for key in ("mean", "factor", "deviation")
        )

    @classmethod
    def restore(cls, trained: TrainedDetector, features: Tensor | ViewSource) -> Self:
        """Return a saved detector, bound to other images' features."""
        detector = cls(features, DetectorSettings.from_config(trained.config["settings"]))
        detector.load_state(trained.tensors)
        return detector

    def _distance(self, averaged: Tensor) -> Tensor:
        mean, factor, deviation = self._statistics()
        centred = averaged / deviation - mean
        # A triangular solve for these rows alone is far cheaper than inverting the factor.
        whitened = torch.linalg.solve_triangular(factor, centred.T, upper=False)
        distance: Tensor = whitened.square().mean(dim=0)
        return distance

    def _statistics(self) -> tuple[Tensor, Tensor, Tensor]:
        if self.mean is None or self.factor is None or self.deviation is None:
            raise RuntimeError("A detector scores only after fit() or restore().")
        return self.mean, self.factor, self.deviation


def _factor(centred: Tensor) -> Tensor:
    """Return the Cholesky factor of the shrunk covariance of ``centred`` (n_images, n_features).

    scikit-learn's LedoitWolf inverts through an eigendecomposition, which is most of its time at this width.
    """
    n_images, n_features = centred.shape
    covariance = centred.T @ centred / n_images
    mean_variance = covariance.trace() / n_features
    shrinkage = _shrinkage(centred, covariance, mean_variance)
    shrunk = (1 - shrinkage) * covariance
    shrunk.diagonal().add_(shrinkage * mean_variance.clamp_min(SMALLEST_DEVIATION**2))
    # A GPU is not waited for to say whether it failed; shrinkage keeps it from failing.
    factor: Tensor = torch.linalg.cholesky_ex(shrunk, check_errors=shrunk.device.type == "cpu").L
    # The layout a saved model comes back with: another one may round differently.
    return factor.contiguous()


def _shrinkage(centred: Tensor, covariance: Tensor, mean_variance: Tensor) -> Tensor:
    """Return Ledoit and Wolf's shrinkage, 0 to 1, on the device (scikit-learn has it for the host).

    Their beta is the mean squared distance of the outer products of single images from the covariance, their
    delta that of the covariance from a multiple of the identity, both by Frobenius' norm.
    """
    n_images = len(centred)
    squared = covariance.square().sum()
    beta = (centred.square().sum(dim=1).square().sum() / n_images - squared) / n_images
    delta = squared - covariance.shape[0] * mean_variance.square()
    tiny = torch.finfo(delta.dtype).tiny
    return (beta.clamp_min(0) / delta.clamp_min(tiny)).clamp(SMALLEST_SHRINKAGE, 1)
