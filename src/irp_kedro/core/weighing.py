"""Which of several opinions counts: the strongest, each measured by its own limit (decisions 0041, 0046)."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from irp_kedro.core.detector import Scores
from irp_kedro.core.judging import Opinions
from irp_kedro.core.threshold import threshold
from irp_kedro.core.variants import Mask
from irp_kedro.parameters import RefinementParameters


class Weighed(NamedTuple):
    """What opinions amount to.

    Attributes:
        scores: (n_images,) that count.
        median: of theirs over the reference.
        limit: above which images are outliers.
        apart: name of a judge heard apart -> (n_images,) whether only such a judge finds an image above the
            limit, and it the most.
    """

    scores: Scores
    median: float
    limit: float
    apart: Mapping[str, Mask]


def weigh(
    opinions: Scores | Opinions, n_reference: int, rule: RefinementParameters, counted: Mask | None = None
) -> Weighed:
    """Return the scores that count, their median over the reference, their limit, and who is seen apart.

    Of several opinions the strongest counts: each is measured in the way from its own median to its own
    limit, so that an image above 1 is above the limit of one of them.

    Args:
        opinions: (n_images,) each, the reference first.
        n_reference: how many images are the reference.
        rule: of the threshold.
        counted: (n_images,) who may move a median or a limit; all where it is left out.
    """
    inside = np.arange(len(ordering_of(opinions))) < n_reference
    inner = inside if counted is None else inside & counted
    outer = ~inside if counted is None else ~inside & counted

    def held_against(scores: Scores, stretch: float = 1.0) -> tuple[float, float]:
        limit = threshold(scores[inner], rule, scores[outer], stretch=stretch)
        return float(np.median(scores[inner])), limit

    if not isinstance(opinions, Opinions):
        return Weighed(opinions, *held_against(opinions), {})

    def way(scores: Scores, stretch: float = 1.0) -> Scores:
        median, limit = held_against(scores, stretch)
        come: Scores = (scores - median) / (limit - median)
        return come

    shared = way(opinions.together)
    if opinions.alone is not None:
        shared = np.maximum(shared, way(opinions.alone, rule.alone_factor))
    apart = {name: way(scores, rule.apart_factor) for name, scores in opinions.apart.items()}
    strongest: Scores = np.max([shared, *apart.values()], axis=0)
    only_apart = {name: (come == strongest) & (come > 1) & (shared <= 1) for name, come in apart.items()}
    return Weighed(strongest, float(np.median(strongest[inner])), 1.0, only_apart)


def ordering_of(opinions: Scores | Opinions) -> Scores:
    """Return who is normal: what those that may speak alone say, or the one opinion there is."""
    return opinions.ordering if isinstance(opinions, Opinions) else opinions
