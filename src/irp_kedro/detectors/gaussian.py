"""One Gaussian over pooled features: Mahalanobis distance under a shrunk covariance. A fast second witness.

Ledoit and Wolf's shrinkage keeps the covariance invertible with fewer images than features (J. Multivariate
Analysis 88, 2004); the distance is the squared one, as scikit-learn gives it.
"""

import copy
from typing import Self

import numpy as np
import torch
from sklearn.covariance import LedoitWolf
from torch import Tensor

from irp_kedro.core.detector import Rows, Scores
from irp_kedro.detectors.settings import DetectorSettings, TrainedDetector

SMALLEST_DEVIATION = 1e-3


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
        self.precision: Tensor | None = None
        self.deviation: Tensor | None = None

    def fit(self, rows: Rows, *, epochs: int) -> list[float]:
        """Estimate mean and covariance of ``rows`` from scratch; there are no epochs and no losses."""
        seen = self.averaged[torch.as_tensor(rows)]
        self.deviation = seen.std(dim=0, correction=0).clamp_min(SMALLEST_DEVIATION)
        estimate = LedoitWolf().fit((seen / self.deviation).numpy())
        self.mean = torch.as_tensor(estimate.location_)
        self.precision = torch.as_tensor(estimate.precision_)
        return []

    def score(self, rows: Rows) -> Scores:
        """Return the distance of each image, higher = more anomalous."""
        mean, precision, deviation = self._statistics()
        centred = self.averaged[torch.as_tensor(rows)] / deviation - mean
        distance = ((centred @ precision) * centred).sum(dim=1) / centred.shape[1]
        scores: Scores = distance.numpy().astype(np.float64)
        return scores

    def fresh(self, name: str) -> Self:
        """Return an untrained detector on the same features, averaged over views only once."""
        untrained = copy.copy(self)
        untrained.name = name
        untrained.mean = untrained.precision = untrained.deviation = None
        return untrained

    def export(self) -> TrainedDetector:
        """Return mean, scale and precision matrix."""
        mean, precision, deviation = self._statistics()
        tensors = {"mean": mean, "precision": precision, "deviation": deviation}
        config = {"settings": self.settings.as_config(), "name": self.name}
        return TrainedDetector(detector="gaussian", tensors=tensors, config=config)

    @classmethod
    def restore(cls, trained: TrainedDetector, features: Tensor) -> Self:
        """Return a saved detector, bound to other images' features."""
        detector = cls(features, DetectorSettings.from_config(trained.config["settings"]))
        detector.mean = trained.tensors["mean"]
        detector.precision = trained.tensors["precision"]
        detector.deviation = trained.tensors["deviation"]
        return detector

    def _statistics(self) -> tuple[Tensor, Tensor, Tensor]:
        if self.mean is None or self.precision is None or self.deviation is None:
            raise RuntimeError("A detector scores only after fit() or restore().")
        return self.mean, self.precision, self.deviation
