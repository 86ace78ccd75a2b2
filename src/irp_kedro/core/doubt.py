"""Images in doubt: they stay in the set, and are trained on in few of the epochs (decision 0043).

A limit that is safe for good images leaves defects in the set, and each of them teaches the detector that it is
normal. Between the two lies what nobody should throw away and nobody should learn from as if it were certain.
"""

from collections.abc import Iterator

import numpy as np
from numpy.random import Generator

from irp_kedro.core.detector import AnomalyDetector, Rows, TakesSchedule

SELDOM = 0.1  # share of the epochs that an image in doubt takes part in, where hardly anything has left
LEAVES_ANYWAY = 0.01  # share of a set without defects that may leave; limits are chosen by it (decision 0042)


def share_of_epochs(n_images: int, n_removed: int) -> float:
    """Return in which share of the epochs an image in doubt takes part.

    Where no more has left than leaves a set without defects, the set may have rare good images, and a detector
    that never sees them takes their like for defects. The more has left, the likelier is doubt a defect.

    Args:
        n_images: of the set before refinement.
        n_removed: how many of them have left.

    >>> share_of_epochs(200, 0), share_of_epochs(200, 2), share_of_epochs(200, 4)
    (0.1, 0.1, 0.05)
    """
    return SELDOM * min(1.0, LEAVES_ANYWAY * n_images / n_removed) if n_removed else SELDOM


def train(
    detector: AnomalyDetector,
    training: Rows,
    doubtful: Rows,
    *,
    share: float,
    epochs: int,
    rng: Generator,
) -> list[float]:
    """Train on all of ``training``, on the ``doubtful`` of them seldom; return the mean loss of each epoch.

    As many images pass as without doubt: an epoch is shorter, and there are more of them, so that strategies
    spend the same (decision 0016). A detector without epochs is fitted once, on those that are not in doubt.

    Args:
        detector: is trained further.
        training: the set.
        doubtful: those of it that are in doubt.
        share: of the epochs that these take part in; which ones take part is drawn anew in each epoch.
        epochs: over all of ``training``; 0 does not even take statistics of it.
        rng: draws.
    """
    if not epochs:
        return []
    if not len(doubtful):
        return detector.fit(training, epochs=epochs)
    schedule = _each_epoch(training, doubtful, share, epochs, rng)
    if isinstance(detector, TakesSchedule):
        return detector.fit_each(list(schedule))
    losses: list[float] = []
    for rows in schedule:
        loss = detector.fit(rows, epochs=1)
        if not loss:
            break
        losses += loss
    return losses


def _each_epoch(training: Rows, doubtful: Rows, share: float, epochs: int, rng: Generator) -> Iterator[Rows]:
    sure = np.setdiff1d(training, doubtful)
    # What a detector learns at its first sight, such as the spread of features, it learns of these alone.
    yield sure
    for _ in range(1, round(epochs * len(training) / (len(sure) + share * len(doubtful)))):
        yield np.union1d(sure, doubtful[rng.random(len(doubtful)) < share])
