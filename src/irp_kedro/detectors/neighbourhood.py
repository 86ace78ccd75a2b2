"""scikit-learn's outlier detectors on pooled features, as rivals of the judges made here."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.ensemble import IsolationForest as SklearnIsolationForest
from sklearn.neighbors import LocalOutlierFactor as SklearnLocalOutlierFactor
from torch import Tensor

from irp_kedro.core import seeding
from irp_kedro.core.detector import Rows, Scores
from irp_kedro.detectors.settings import DetectorSettings, TrainedDetector
from irp_kedro.features.device import download
from irp_kedro.features.residence import ViewSource, as_views, averaged

Vectors = npt.NDArray[np.float64]


class PooledOutliers(ABC):
    """An outlier detector over features averaged over views; scikit-learn's sign is turned round.

    Args:
        features: (n_images, n_views, n_features).
        settings: only the seed is used.
        name: of the random stream.
    """

    registered: ClassVar[str]

    def __init__(
        self, features: Tensor | ViewSource, settings: DetectorSettings, name: str = "detector"
    ) -> None:
        self.features = features
        self.settings = settings
        self.name = name
        self.averaged: Vectors = download(averaged(as_views(features)).double())
        self.seen: Vectors | None = None

    def fit(self, rows: Rows, *, epochs: int) -> list[float]:
        """Fit on ``rows`` from scratch; there are no epochs and no losses."""
        self._fit_vectors(self.averaged[rows])
        return []

    def score(self, rows: Rows) -> Scores:
        """Return the outlier score of each image, above 0, higher = more anomalous."""
        if self.seen is None:
            raise RuntimeError("A detector scores only after fit() or restore().")
        scores: Scores = -self._estimator.score_samples(self.averaged[rows])
        return scores

    def fresh(self, name: str) -> Self:
        """Return an unfitted detector on the same features."""
        return type(self)(self.features, self.settings, name)

    def export(self) -> TrainedDetector:
        """Return the vectors it was fitted on; restoring fits again, with the same seed."""
        if self.seen is None:
            raise RuntimeError("A detector is saved only after fit() or restore().")
        config = {"settings": self.settings.as_config(), "name": self.name}
        return TrainedDetector(
            detector=self.registered, tensors={"seen": torch.from_numpy(self.seen)}, config=config
        )

    def state(self) -> dict[str, Tensor]:
        """Return the vectors it was fitted on, if any."""
        return {} if self.seen is None else dict(self.export().tensors)

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take a :meth:`state` back."""
        if state:
            self._fit_vectors(state["seen"].numpy())

    @classmethod
    def restore(cls, trained: TrainedDetector, features: Tensor | ViewSource) -> Self:
        """Return a saved detector, bound to other images' features."""
        settings = DetectorSettings.from_config(trained.config["settings"])
        detector = cls(features, settings, trained.config["name"])
        detector.load_state(trained.tensors)
        return detector

    def _fit_vectors(self, vectors: Vectors) -> None:
        self.seen = vectors
        self._estimator = self._make(len(vectors)).fit(vectors)

    @abstractmethod
    def _make(self, n_images: int) -> SklearnIsolationForest | SklearnLocalOutlierFactor:
        """Return the unfitted estimator for a set of ``n_images``."""


class IsolationForest(PooledOutliers):
    """How few random cuts isolate an image (Liu, Ting and Zhou, ICDM 2008)."""

    registered = "isolation_forest"

    def _make(self, n_images: int) -> SklearnIsolationForest:
        seed = seeding.stream_seed(self.settings.seed, self.name, "trees") % 2**32
        return SklearnIsolationForest(n_estimators=200, random_state=seed)


class LocalOutlierFactor(PooledOutliers):
    """How much sparser the neighbourhood of an image is than those of its neighbours (Breunig et al., 2000)."""

    registered = "local_outlier_factor"
    n_neighbours: ClassVar[int] = 20

    def _make(self, n_images: int) -> SklearnLocalOutlierFactor:
        return SklearnLocalOutlierFactor(n_neighbors=min(self.n_neighbours, n_images - 1), novelty=True)
