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
from numpy.random import Generator

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
    judge: SeesCompany, reference: Rows, suspects: Rows, *, n_judged: int, cycle: int, rng: Generator
) -> Rows:
    """Return which suspects belong to a variant of the product; empty where there is none.

    There is one where at least eight suspects are as near to seven others of them as half of as many normal
    images are to each other. They are its core. Whoever is as near to the core as nearly all normal images are
    to each other belongs to it. Every witness has to say so.

    Args:
        judge: compares.
        reference: who is normal.
        suspects: who is beyond the limit or in doubt.
        n_judged: how many images were judged.
        cycle: names the random streams.
        rng: draws normal images, as many as a group has.
    """

    def near_to(group: Rows, share: float) -> Rows:
        normal = np.sort(rng.permutation(reference)[: len(group)])
        company = partial(judge.company, nth=FEWEST - 1, cycle=cycle)
        found = suspects[_as_near(company(normal, normal), company(group, suspects), share, len(suspects))]
        return found if may_be_asked(len(found), n_judged) else NOBODY

    core = near_to(suspects, HALF) if may_be_asked(len(suspects), n_judged) else NOBODY
    return np.union1d(core, near_to(core, NEARLY_ALL)) if len(core) else NOBODY


def _as_near(usual: Iterable[Scores], theirs: Iterable[Scores], share: float, n_asked: int) -> Mask:
    """Return who is as near as ``share`` of normal images, by every witness; without one nobody is."""
    near = np.zeros(n_asked, dtype=bool)
    for number, (normal, asked) in enumerate(zip(usual, theirs, strict=True)):
        if not np.isfinite(normal).all():
            return np.zeros(n_asked, dtype=bool)  # copies of one another, which vouch for nobody
        said = asked <= np.quantile(normal, share)
        near = near & said if number else said
        if near.sum() < FEWEST:
            break  # no variant, whatever the next witness says, which may cost much more
    return near
