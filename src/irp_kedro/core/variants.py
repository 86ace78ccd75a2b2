"""Suspects that are as alike as normal images are form a variant of the product, and stay (decision 0045).

Whoever asks how many images look like one cannot tell a rare variant from a defect: both are few. But a
defect differs from other defects where it differs from everything else, and one image of a variant looks like
the next.
"""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from irp_kedro.core.detector import NOBODY, Comparer, Rows, Scores
from irp_kedro.core.resemblance import FEWEST, may_be_asked

Mask = npt.NDArray[np.bool_]
HALF = 0.5  # of normal images are as near to others as an image of a variant's core
NEARLY_ALL = 0.95  # of them are as near to others as an image of a variant


@runtime_checkable
class SeesCompany(Protocol):
    """A judge that has witnesses."""

    def witnesses(self, *, cycle: int) -> Sequence[Comparer]:
        """Return them, in the order of the judges; ``cycle`` names the random streams."""
        ...


def find_variants(
    witnesses: Sequence[Comparer], normal: Rows, suspects: Rows, *, n_judged: int, faults: Rows = NOBODY
) -> Rows:
    """Return which suspects belong to a variant of the product; empty where there is none.

    There is one where at least eight suspects are as near to seven others of them as half of as many normal
    images are to each other. They are its core. Whoever is as near to the core as nearly all normal images are
    to each other belongs to it, and whoever is as near to what a person called a fault does not. Every witness
    has to say so; where one has said no of an image, the next is not asked of it.

    Args:
        witnesses: who compare, best the cheapest first; without any there is no variant.
        normal: who is normal and no suspect, in an order that was drawn; as many as a group has are taken from
            its beginning, and where there are fewer nothing can be said.
        suspects: who is beyond the limit or in doubt.
        n_judged: how many images were judged.
        faults: whom a person removed; of fewer than eight nothing is learnt.
    """

    def near_to(group: Rows, asked: Rows, share: float, fewest: int = 1) -> Rows:
        if not witnesses or not FEWEST <= len(group) <= len(normal):
            return NOBODY
        alike = np.sort(normal[: len(group)])
        for witness in witnesses:
            if len(asked) < fewest:
                return NOBODY
            usual = witness.company(alike, alike, FEWEST - 1)
            asked = asked[_as_near(witness.company(group, asked, FEWEST - 1), usual, share)]
        return asked

    core = near_to(suspects, suspects, HALF, FEWEST)
    if not may_be_asked(len(core), n_judged):
        return NOBODY
    variant = np.union1d(core, near_to(core, np.setdiff1d(suspects, core), NEARLY_ALL))
    return np.setdiff1d(variant, near_to(faults, variant, NEARLY_ALL))


def _as_near(theirs: Scores, usual: Scores, share: float) -> Mask:
    """Return who is as near as ``share`` of normal images."""
    if not np.isfinite(usual).all():
        return np.zeros(len(theirs), dtype=bool)  # copies of one another vouch for nobody
    near: Mask = theirs <= np.quantile(usual, share)
    return near
