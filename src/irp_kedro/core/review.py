"""What a person decided on single images, by digest. The loop honours it and learns nothing else of them."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd

from irp_kedro.core.detector import BlindSet, Rows

KEEP, REMOVE, UNSURE = "keep", "remove", "unsure"
DECISIONS = (KEEP, REMOVE, UNSURE)
COLUMNS = ("image_id", "digest", "decision", "who", "when")


@dataclass(frozen=True, kw_only=True)
class Review:
    """Images that a person has decided on; whoever is unsure has decided nothing.

    Attributes:
        keep: digests of images that never leave.
        remove: digests of images that leave before the first cycle and never return.
    """

    keep: frozenset[str] = frozenset()
    remove: frozenset[str] = frozenset()

    @classmethod
    def of(cls, table: pd.DataFrame) -> Self:
        """Take digests and decisions from a review, and nothing else."""
        chosen = {decision: table.loc[table["decision"] == decision, "digest"] for decision in (KEEP, REMOVE)}
        return cls(keep=frozenset(chosen[KEEP]), remove=frozenset(chosen[REMOVE]))

    def kept_rows(self, images: BlindSet) -> Rows:
        """Return the positions of the images that never leave."""
        return _rows(images, self.keep)

    def removed_rows(self, images: BlindSet) -> Rows:
        """Return the positions of the images that leave before the first cycle."""
        return _rows(images, self.remove)


NO_REVIEW = Review()


def _rows(images: BlindSet, digests: Collection[str]) -> Rows:
    return np.array([row for row, digest in enumerate(images.digests) if digest in digests], dtype=np.intp)
