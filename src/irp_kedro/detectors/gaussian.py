"""One Gaussian over pooled features: Mahalanobis distance under a shrunk covariance. A fast second witness.

Ledoit and Wolf's shrinkage keeps the covariance invertible with fewer images than features (J. Multivariate
Analysis 88, 2004); the distance is the squared one, as scikit-learn gives it.
"""

import copy
from collections.abc import Mapping
from typing import Self

import numpy as np
import torch
from sklearn.covariance import ledoit_wolf_shrinkage
from torch import Tensor

from irp_kedro.core.detector import Rows, Scores
from irp_kedro.detectors.settings import DetectorSettings, TrainedDetector

SMALLEST_DEVIATION = 1e-3
SMALLEST_SHRINKAGE = 1e-6  # two images, or equal ones, would be shrunk by nothing and stay singular


class Gaussian:
    """Squared Mahalanobis distance of an image's features, averaged over its views, divided by their number.

    Args:
        features: (n_images, n_views, n_features).
        settings: taken for the seam's sake; nothing here is random or trained in epochs.
        name: of the detector; nothing depends on it.
    """

    def __init__(self, features: Tensor, settings: DetectorSettings, name: str = "detector") -> None:
        self.features = features
        self.settings = settings
        self.name = name
        self.averaged = features.float().mean(dim=1).double().cpu()
        self.mean: Tensor | None = None
        self.factor: Tensor | None = None
        self.deviation: Tensor | None = None

    def fit(self, rows: Rows, *, epochs: int) -> list[float]:
        """Estimate mean and covariance of ``rows`` from scratch; there are no epochs and no losses."""
        seen = self.averaged[torch.as_tensor(rows)]
        self.deviation = seen.std(dim=0, correction=0).clamp_min(SMALLEST_DEVIATION)
        standardised = seen / self.deviation
        self.mean = standardised.mean(dim=0)
        self.factor = _factor(standardised - self.mean)
        return []

    def score(self, rows: Rows) -> Scores:
        """Return the distance of each image, higher = more anomalous."""
        scores: Scores = self._distance(self.averaged[torch.as_tensor(rows)]).numpy().astype(np.float64)
        return scores

    def score_features(self, features: Tensor) -> Tensor:
        """Return the scores (n_images,) of features (n_images, n_views, n_features); can be differentiated."""
        return self._distance(features.float().mean(dim=1).double().cpu())

    def fresh(self, name: str) -> Self:
        """Return an untrained detector on the same features, averaged over views only once."""
        untrained = copy.copy(self)
        untrained.name = name
        untrained.mean = untrained.factor = untrained.deviation = None
        return untrained

    def export(self) -> TrainedDetector:
        """Return mean, scale and covariance factor."""
        mean, factor, deviation = self._statistics()
        tensors = {"mean": mean, "factor": factor, "deviation": deviation}
        config = {"settings": self.settings.as_config(), "name": self.name}
        return TrainedDetector(detector="gaussian", tensors=tensors, config=config)

    def state(self) -> dict[str, Tensor]:
        """Return the statistics, if there are any: every fit starts from scratch."""
        return {} if self.mean is None else dict(self.export().tensors)

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take a :meth:`state` back."""
        if not state:
            return
        self.mean, self.factor, self.deviation = (state[key] for key in ("mean", "factor", "deviation"))

    @classmethod
    def restore(cls, trained: TrainedDetector, features: Tensor) -> Self:
        """Return a saved detector, bound to other images' features."""
        detector = cls(features, DetectorSettings.from_config(trained.config["settings"]))
        detector.mean = trained.tensors["mean"]
        detector.factor = trained.tensors["factor"]
        detector.deviation = trained.tensors["deviation"]
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
    shrinkage = max(SMALLEST_SHRINKAGE, ledoit_wolf_shrinkage(centred.numpy(), assume_centered=True))
    shrunk = (1 - shrinkage) * covariance
    mean_variance = (covariance.trace() / n_features).clamp_min(SMALLEST_DEVIATION**2)
    shrunk.diagonal().add_(shrinkage * mean_variance)
    factor: Tensor = torch.linalg.cholesky(shrunk)
    # The layout a saved model comes back with: another one may round differently.
    return factor.contiguous()
