"""The two seams of the loop: what can be trained and score, and the blind set it works on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt
import pandas as pd

from irp_kedro.core import seeding

Rows = npt.NDArray[np.intp]
Scores = npt.NDArray[np.float64]

NOBODY: Rows = np.empty(0, dtype=np.intp)


class AnomalyDetector(Protocol):
    """A detector bound to the features of one blind set; rows are positions in that set."""

    def fit(self, rows: Rows, *, epochs: int) -> list[float]:
        """Train on ``rows`` for ``epochs`` more epochs; return the mean loss of each (empty: it has none)."""
        ...

    def score(self, rows: Rows) -> Scores:
        """Return anomaly scores (n_rows,), higher = more anomalous."""
        ...

    def fresh(self, name: str) -> Self:
        """Return an untrained detector of the same kind on the same features, seeded by ``name``."""
        ...


@runtime_checkable
class TakesSchedule(Protocol):
    """A detector for which every call of ``fit`` is dear, so that it takes the sets of many epochs at once."""

    def fit_each(self, schedule: Sequence[Rows]) -> list[float]:
        """Train for one more epoch on each of the sets, in order; return the mean loss of each."""
        ...


class Comparer(Protocol):
    """A detector that can tell how near images are to those of a group; it need not have learnt for it."""

    def company(self, group: Rows, asked: Rows, nth: int) -> Scores:
        """Return how far images are from the ``nth`` nearest of a group, no image being near itself.

        Args:
            group: whom they are compared with.
            asked: who is compared.
            nth: 1 for the nearest.

        Returns:
            (n_asked,), higher = less like any of the group; infinite where it has no such image.
        """
        ...


@runtime_checkable
class Witness(Comparer, Protocol):
    """A detector that sees what is unusual about images, and whether others are unusual in the same way."""

    def fit(self, rows: Rows, *, epochs: int) -> list[float]:
        """Learn what is normal from ``rows``."""
        ...

    def resemblance(self, left: Rows, others: Rows) -> list[tuple[Scores, Scores]]:
        """Return how much rather images are like those that left than like normal ones, higher = more so.

        Returns:
            In each regard: of those that left, (n_left,), among each other, and of the others, (n_others,).
        """
        ...


@dataclass(frozen=True)
class BlindSet:
    """All that the loop, its judges and its detectors may know of a training set.

    Attributes:
        image_ids: opaque names, in an order that depends on contents and seed alone.
        digests: MD5 of each image's bytes.
    """

    image_ids: tuple[str, ...]
    digests: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.image_ids)

    @classmethod
    def of(cls, manifest: pd.DataFrame, *, seed: int) -> Self:
        """Take ids and digests from a manifest and nothing else, shuffled by content."""
        return cls.of_ids(list(manifest["image_id"]), list(manifest["digest"]), seed=seed)

    @classmethod
    def of_ids(cls, image_ids: Sequence[str], digests: Sequence[str], *, seed: int) -> Self:
        """Order ``image_ids`` by the hash of their contents under ``seed``.

        >>> BlindSet.of_ids(["a", "b"], ["01", "02"], seed=0).image_ids in {("a", "b"), ("b", "a")}
        True
        """
        order = seeding.digest_order(list(digests), seed, "blind")
        return cls(tuple(image_ids[i] for i in order), tuple(digests[i] for i in order))
