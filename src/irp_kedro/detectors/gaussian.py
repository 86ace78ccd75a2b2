"""One Gaussian over pooled features: Mahalanobis distance under a shrunk covariance. A fast second witness.

Ledoit and Wolf's shrinkage keeps the covariance invertible with fewer images than features (J. Multivariate
Analysis 88, 2004); the distance is the squared one, as scikit-learn gives it.
"""

import copy
from collections.abc import Iterator, Mapping
from typing import Self

import torch
from torch import Tensor

from irp_kedro.core.detector import Rows, Scores
from irp_kedro.detectors.settings import DetectorSettings, TrainedDetector
from irp_kedro.features.device import download, upload
from irp_kedro.features.residence import ViewSource, as_views, averaged

SMALLEST_DEVIATION = 1e-3
SMALLEST_SHRINKAGE = 1e-6  # two images, or equal ones, would be shrunk by nothing and stay singular
TOGETHER = 1024  # images in double precision at a time


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
        # In parts, twice: a part is all that is held in double precision besides the covariance.
        total, squares = self._sums(rows)
        mean = total / len(rows)
        self.deviation = (squares / len(rows) - mean.square()).clamp_min(SMALLEST_DEVIATION**2).sqrt()
        self.mean = mean / self.deviation
        centred = (part / self.deviation - self.mean for part in self._parts(rows))
        self.factor = _factor(centred, len(rows), like=mean)
        return []

    def score(self, rows: Rows) -> Scores:
        """Return the distance of each image, higher = more anomalous."""
        scores: Scores = download(self.score_there(rows))
        return scores

    def score_there(self, rows: Rows) -> Tensor:
        """Return the scores where they were computed."""
        return torch.cat([self._distance(part) for part in self._parts(rows)])

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

    @property
    def centre(self) -> Tensor:
        """The mean feature (n_features,) of the training set."""
        mean, _, deviation = self._statistics()
        return (mean * deviation).float()

    def on(self, features: Tensor | ViewSource) -> Self:
        """Return the same trained detector on other images' features."""
        other = copy.copy(self)
        other.averaged = averaged(as_views(features))
        return other

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

    def _parts(self, rows: Rows) -> Iterator[Tensor]:
        for start in range(0, len(rows), TOGETHER):
            index = upload(rows[start : start + TOGETHER], self.averaged.device)
            yield self.averaged.index_select(0, index).double()

    def _sums(self, rows: Rows) -> tuple[Tensor, Tensor]:
        total = torch.zeros(self.averaged.shape[1], dtype=torch.float64, device=self.averaged.device)
        squares = torch.zeros_like(total)
        for part in self._parts(rows):
            total += part.sum(dim=0)
            squares += part.square().sum(dim=0)
        return total, squares

    def _statistics(self) -> tuple[Tensor, Tensor, Tensor]:
        if self.mean is None or self.factor is None or self.deviation is None:
            raise RuntimeError("A detector scores only after fit() or restore().")
        return self.mean, self.factor, self.deviation


def _factor(parts: Iterator[Tensor], n_images: int, like: Tensor) -> Tensor:
    """Return the Cholesky factor of the shrunk covariance of centred features, given in parts (n, n_features).

    ``like`` has their width and device. scikit-learn's LedoitWolf inverts through an eigendecomposition, which
    is most of its time at this width.
    """
    products = like.new_zeros(len(like), len(like))
    fourth = like.new_zeros(())
    for centred in parts:
        products.addmm_(centred.T, centred)
        fourth += centred.square().sum(dim=1).square().sum()
    covariance = products / n_images
    mean_variance = covariance.trace() / len(covariance)
    shrinkage = _shrinkage(covariance, mean_variance, fourth, n_images)
    shrunk = (1 - shrinkage) * covariance
    shrunk.diagonal().add_(shrinkage * mean_variance.clamp_min(SMALLEST_DEVIATION**2))
    # A GPU is not waited for to say whether it failed; shrinkage keeps it from failing.
    factor: Tensor = torch.linalg.cholesky_ex(shrunk, check_errors=shrunk.device.type == "cpu").L
    # The layout a saved model comes back with: another one may round differently.
    return factor.contiguous()


def _shrinkage(covariance: Tensor, mean_variance: Tensor, fourth: Tensor, n_images: int) -> Tensor:
    """Return Ledoit and Wolf's shrinkage, 0 to 1, on the device (scikit-learn has it for the host).

    Their beta is the mean squared distance of the outer products of single images from the covariance, their
    delta that of the covariance from a multiple of the identity, both by Frobenius' norm.

    Args:
        covariance: (n_features, n_features).
        mean_variance: mean of its diagonal.
        fourth: sum over images of the fourth power of their length.
        n_images: how many.
    """
    squared = covariance.square().sum()
    beta = (fourth / n_images - squared) / n_images
    delta = squared - len(covariance) * mean_variance.square()
    tiny = torch.finfo(delta.dtype).tiny
    return (beta.clamp_min(0) / delta.clamp_min(tiny)).clamp(SMALLEST_SHRINKAGE, 1)
