"""Which outliers leave in a cycle, and the record of every decision."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from irp_kedro.core.detector import Rows, Scores

JUDGE, RESEMBLANCE, REVIEW = "judge", "resemblance", "review"


class RemovalPolicy(Protocol):
    """Chooses among the images above the threshold."""

    def select(self, scores: Scores, threshold: float, *, allowed: int) -> Rows:
        """Return positions in ``scores`` that leave, worst first, at most ``allowed`` of them."""
        ...


@dataclass(frozen=True)
class WorstOnly:
    """The single worst image above the threshold leaves (Algorithm 1, lines 5 to 8)."""

    def select(self, scores: Scores, threshold: float, *, allowed: int) -> Rows:
        """Return at most one position."""
        return _worst_above(scores, threshold)[: min(1, allowed)]


@dataclass(frozen=True)
class AllAbove:
    """Every image above the threshold leaves (Eq. 6), worst first, up to a cap.

    Attributes:
        cap: largest share of the images judged in one cycle that may leave in it, 0 to 1.
    """

    cap: float = 1.0

    def select(self, scores: Scores, threshold: float, *, allowed: int) -> Rows:
        """Return the positions above the threshold, worst first, at least one if any is above."""
        most = max(1, int(self.cap * len(scores)))
        return _worst_above(scores, threshold)[: min(most, allowed)]


def _worst_above(scores: Scores, threshold: float) -> Rows:
    # A stable sort lets equal scores leave in the blind order, which no name can change.
    order = np.argsort(-scores, kind="stable")
    return order[scores[order] > threshold]


@dataclass(frozen=True, kw_only=True)
class Decision:
    """One row of the removal log.

    Attributes:
        action: ``removed`` or ``restored``; ``kept`` where a person's review holds an image in the set.
        score: at the moment of the decision, higher = more anomalous; ``None`` where a review decided; just
            beyond the threshold where resemblance did.
        median_score: of the images judged in that cycle; ``None`` where a review decided.
        threshold: what the score was held against; ``None`` where a review decided.
        by: ``judge``; its name, where only a judge heard apart finds the image far out; ``resemblance`` where
            an image in doubt is like others that left; ``review``.
    """

    cycle: int
    action: str
    image_id: str
    digest: str
    score: float | None
    median_score: float | None
    threshold: float | None
    by: str = JUDGE


def ranking(removed: Sequence[str], remaining: dict[str, float]) -> list[str]:
    """Return every image from most to least suspect: the removed in order, then the rest by last score.

    >>> ranking(["e", "d"], {"a": 1.0, "b": 3.0})
    ['e', 'd', 'b', 'a']
    """
    return [*removed, *sorted(remaining, key=lambda image_id: -remaining[image_id])]
