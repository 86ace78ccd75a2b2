"""Suspects that are alike form a variant of the product, and stay (decisions 0045, 0048, 0052).

Whoever asks how many images look like one cannot tell a rare variant from a defect: both are few. But a
defect differs from other defects where it differs from everything else, and one image of a variant looks like
the next, and less like anything normal.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from irp_kedro.core.detector import NOBODY, Comparer, Rows, Scores
from irp_kedro.core.resemblance import FEWEST, may_be_asked

Mask = npt.NDArray[np.bool_]
SIXTEEN = 2 * FEWEST  # normal images say how near the core of a variant has to be: it may be as small


@dataclass(frozen=True)
class Nearness:
    """What is asked of an image that is in company with a group.

    Attributes:
        share: as near to the group as this share of normal images are to normal ones, 0 to 1.
        of: how many normal ones; as many as the group has where it is left out.
        nearer: its distance to the group over that to as many normal images as the group has is no more.
        neighbours: the distance is that to the farthest of so large a share of the group, 0 to 1; of seven
            at least.
    """

    share: float
    of: int | None = None
    nearer: float = math.inf
    neighbours: float = 0.0

    def n_neighbours(self, n_group: int) -> int:
        """Return how many of a group an image has to be near to.

        >>> Nearness(share=0.75).n_neighbours(100), Nearness(share=0.75, neighbours=0.2).n_neighbours(100)
        (7, 20)
        """
        return max(FEWEST - 1, int(self.neighbours * n_group))


CORE = Nearness(share=0.75, of=SIXTEEN, nearer=0.9)
HOLDS_TOGETHER = Nearness(share=0.75, nearer=1.0, neighbours=0.2)
JOINS = Nearness(share=0.95, nearer=1.0, neighbours=0.2)
LIKE_A_FAULT = Nearness(share=0.95)


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

    There is one where at least eight suspects are as near to seven others of them as three in four normal
    images are to seven of sixteen, and a tenth nearer than to seven normal ones. Among hundreds of suspects
    a defect finds seven of its kind as well: where forty or more are found, its core are those as near to a
    fifth of them as three in four normal images are to a fifth of as many normal ones, and not nearer to
    these. Whoever is as near to a fifth of the core as nearly all normal images are to each other, and not
    nearer to these, belongs to it; whoever is as near to what a person called a fault does not. Every
    witness has to say so; where one has said no of an image, the next is not asked of it.

    Args:
        witnesses: who compare, best the cheapest first; without any there is no variant.
        normal: who is normal and no suspect, in an order that was drawn; as many as a group has are taken from
            its beginning, and where there are fewer nothing can be said.
        suspects: who is beyond the limit or in doubt.
        n_judged: how many images were judged.
        faults: whom a person removed; of fewer than eight nothing is learnt.
    """
    core = _in_company(witnesses, normal, suspects, suspects, CORE, fewest=FEWEST)
    # Of fewer than forty seven are a fifth already.
    if HOLDS_TOGETHER.n_neighbours(len(core)) > CORE.n_neighbours(len(core)):
        core = _in_company(witnesses, normal, core, core, HOLDS_TOGETHER, fewest=FEWEST)
    if not may_be_asked(len(core), n_judged):
        return NOBODY
    others = np.setdiff1d(suspects, core)
    variant = np.union1d(core, _in_company(witnesses, normal, core, others, JOINS))
    return np.setdiff1d(variant, _in_company(witnesses, normal, faults, variant, LIKE_A_FAULT))


def _in_company(
    witnesses: Sequence[Comparer], normal: Rows, group: Rows, asked: Rows, bound: Nearness, *, fewest: int = 1
) -> Rows:
    """Return who of ``asked`` is in company with ``group``; fewer than ``fewest`` are asked no further."""
    if not witnesses or not FEWEST <= len(group) <= len(normal):
        return NOBODY
    as_many = np.sort(normal[: len(group)])
    some = np.sort(normal[: min(bound.of or len(group), len(group))])
    n_neighbours = bound.n_neighbours(len(group))
    for witness in witnesses:
        if len(asked) < fewest:
            break
        distances = witness.company(group, asked, n_neighbours)
        near = _as_near(distances, witness.company(some, as_many, n_neighbours), bound.share)
        asked, distances = asked[near], distances[near]
        if len(asked) >= fewest and bound.nearer < math.inf:
            asked = asked[distances <= bound.nearer * witness.company(as_many, asked, n_neighbours)]
    return asked


def _as_near(theirs: Scores, usual: Scores, share: float) -> Mask:
    """Return who is as near as ``share`` of normal images."""
    if not np.isfinite(usual).all():
        return np.zeros(len(theirs), dtype=bool)  # copies of one another vouch for nobody
    near: Mask = theirs <= np.quantile(usual, share)
    return near
