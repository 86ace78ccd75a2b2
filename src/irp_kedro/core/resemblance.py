"""Images in doubt that resemble those beyond the limit leave with them (decision 0044).

A limit that is safe for sets whose good images differ leaves most defects in the set. Those that it finds say
what defects look like here: good images that are merely odd are odd in ways of their own.
"""

from typing import Protocol, runtime_checkable

import numpy as np

from irp_kedro.core.detector import Rows, Scores
from irp_kedro.core.doubt import LEAVES_ANYWAY

FEWEST = 8  # images that left; of fewer neither mean nor spread of their likeness to each other says much
FOUR_IN_FIVE = 0.8  # of normal images have to be less like those that left
COMPARED = 64  # normal images are enough to know that share
SMALLEST_SPREAD = 1e-3


@runtime_checkable
class Recognises(Protocol):
    """A judge that can tell whether images are unusual in the same way."""

    def resemblance(
        self, reference: Rows, left: Rows, others: Rows, *, cycle: int
    ) -> list[tuple[Scores, Scores]]:
        """Return, for each witness among the judges and in each regard, how much rather images are like those.

        Args:
            reference: what the judge learns from.
            left: who left.
            others: who is to be compared with them.
            cycle: names the random streams.

        Returns:
            Of those that left, (n_left,), among each other, and of the others, (n_others,); higher = more
            alike. Without a witness the list is empty.
        """
        ...


def may_be_asked(n_left: int, n_judged: int) -> bool:
    """Return whether enough have left to say what defects look like: more than leave a clean set anyway.

    >>> may_be_asked(7, 200), may_be_asked(8, 200), may_be_asked(30, 3000)
    (False, True, False)
    """
    return n_left >= FEWEST and n_left > LEAVES_ANYWAY * n_judged


def alike(witnesses: list[tuple[Scores, Scores, Scores]], way: Scores) -> Rows:
    """Return positions of those who are as much like those that left as these are like each other.

    Every witness has to say so. At the beginning of doubt an image has to come within one deviation of their
    mean, at the limit, where it is suspect by itself, within two. Where those that left have little in common
    that asks for nothing, so an image has to be more like them than four in five normal images are, too.

    Args:
        witnesses: what each says of those that left, of the (n_others,) in doubt, and of normal images.
        way: (n_others,) how far each is from the beginning of doubt, 0, to the limit, 1.
    """
    found = np.ones(len(way), dtype=bool)
    for among, others, usual in witnesses:
        deviations = (others - among.mean()) / max(float(among.std(ddof=1)), SMALLEST_SPREAD)
        found &= (deviations >= -1 - way) & (others > np.quantile(usual, FOUR_IN_FIVE))
    return np.flatnonzero(found)
