"""Suspects that are as alike as normal images are form a variant of the product, and stay (decision 0045).

Whoever asks how many images look like one cannot tell a rare variant from a defect: both are few. But a
defect differs from other defects where it differs from everything else, and one image of a variant looks like
the next.
"""

from collections.abc import Iterable
from functools import partial
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from irp_kedro.core.detector import NOBODY, Rows, Scores
from irp_kedro.core.resemblance import FEWEST, may_be_asked

Mask = npt.NDArray[np.bool_]
HALF = 0.5  # of normal images are as near to others as an image of a variant's core
NEARLY_ALL = 0.95  # of them are as near to others as an image of a variant


@runtime_checkable
class SeesCompany(Protocol):
    """A judge that can tell how near images are to those of a group."""

    def company(self, group: Rows, asked: Rows, *, nth: int, cycle: int) -> Iterable[Scores]:
        """Return how far images are from the ``nth`` nearest of a group, no image being near itself.

        Args:
            group: whom they are compared with.
            asked: who is compared.
            nth: 1 for the nearest.
            cycle: names the random streams.

        Returns:
            For each witness among the judges, made only when it is asked for: (n_asked,), higher = less like
            any of the group.
        """
        ...


def find_variants(
    judge: SeesCompany, normal: Rows, suspects: Rows, *, faults: Rows = NOBODY, n_judged: int, cycle: int
) -> Rows:
    """Return which suspects belong to a variant of the product; empty where there is none.

    There is one where at least eight suspects are as near to seven others of them as half of as many normal
    images are to each other. They are its core. Whoever is as near to the core as nearly all normal images are
    to each other belongs to it, and whoever is as near to what a person called a fault does not. Every witness
    has to say so.

    Args:
        judge: compares.
        normal: who is normal and no suspect, in an order that was drawn; as many as a group has are taken from
            its beginning, and where there are fewer nothing can be said.
        suspects: who is beyond the limit or in doubt.
        faults: whom a person removed; of fewer than eight nothing is learnt.
        n_judged: how many images were judged.
        cycle: names the random streams.
    """

    def near_to(group: Rows, share: float, fewest: int = 1) -> Rows:
        if len(group) < FEWEST or len(group) > len(normal):
            return NOBODY
        alike = np.sort(normal[: len(group)])
        company = partial(judge.company, nth=FEWEST - 1, cycle=cycle)
        near = np.ones(len(suspects), dtype=bool)
        heard = False
        for usual, theirs in zip(company(alike, alike), company(group, suspects), strict=True):
            heard = True
            near &= _as_near(theirs, usual, share)
            if near.sum() < fewest:
                return NOBODY  # whatever the next witness says, which may cost much more
        return suspects[near] if heard else NOBODY

    core = near_to(suspects, HALF, FEWEST)
    if not may_be_asked(len(core), n_judged):
        return NOBODY
    variant = np.union1d(core, near_to(core, NEARLY_ALL))
    return np.setdiff1d(variant, near_to(faults, NEARLY_ALL))


def _as_near(theirs: Scores, usual: Scores, share: float) -> Mask:
    """Return who is as near as ``share`` of normal images."""
    if not np.isfinite(usual).all():
        return np.zeros(len(theirs), dtype=bool)  # copies of one another vouch for nobody
    near: Mask = theirs <= np.quantile(usual, share)
    return near
