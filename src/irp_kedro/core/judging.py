"""Who judges the training images, and whether the judge has seen them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from irp_kedro.core import seeding
from irp_kedro.core.detector import AnomalyDetector, Rows, Scores


class Judge(Protocol):
    """Scores the images that are still in the set; higher = more anomalous."""

    def judge(self, rows: Rows, *, cycle: int) -> Scores:
        """Return one score a row."""
        ...


@dataclass(frozen=True)
class InSample:
    """The paper's judge: the detector scores the images it was trained on (Algorithm 1, line 3)."""

    detector: AnomalyDetector

    def judge(self, rows: Rows, *, cycle: int) -> Scores:
        """Return the trained detector's scores."""
        return self.detector.score(rows)


@dataclass(frozen=True)
class Apart:
    """Another detector, trained afresh on the remaining images in each cycle, scores those same images.

    Attributes:
        fresh: makes an untrained judge from a name.
        epochs: how long it is trained.
    """

    fresh: Callable[[str], AnomalyDetector]
    epochs: int

    def judge(self, rows: Rows, *, cycle: int) -> Scores:
        """Return the scores of a judge trained on ``rows``."""
        detector = self.fresh(f"judge/{cycle}")
        detector.fit(rows, epochs=self.epochs)
        return detector.score(rows)


@dataclass(frozen=True)
class HeldOut:
    """Cross-fitting: each image is scored by a judge that was trained without it (decision 0012).

    A detector memorises what contaminates its training set, so it ranks the images it has seen poorly.
    Scores of different folds are put on one scale by their medians.

    Attributes:
        fresh: makes an untrained judge from a name.
        folds: number of parts.
        epochs: how long each judge is trained.
        seed: of the split into folds, drawn anew in every cycle.
    """

    fresh: Callable[[str], AnomalyDetector]
    folds: int
    epochs: int
    seed: int

    def judge(self, rows: Rows, *, cycle: int) -> Scores:
        """Return the held-out score of every row."""
        folds = min(self.folds, len(rows))
        fold_of = seeding.stream(self.seed, "folds", cycle).permutation(len(rows)) % folds
        scores = np.empty(len(rows))
        for fold in range(folds):
            held_out = fold_of == fold
            detector = self.fresh(f"judge/{cycle}/{fold}")
            detector.fit(rows[~held_out], epochs=self.epochs)
            scores[held_out] = detector.score(rows[held_out])
        return _one_scale(scores, fold_of, folds)


def _one_scale(scores: Scores, fold_of: Rows, folds: int) -> Scores:
    medians = np.array([np.median(scores[fold_of == fold]) for fold in range(folds)])
    if (medians <= 0).any():
        # Scores that may be negative have no ratio scale; a shift puts their medians together.
        shifted: Scores = scores - medians[fold_of] + np.median(scores)
        return shifted
    scaled: Scores = scores / medians[fold_of] * np.median(scores)
    return scaled
