"""Images in doubt that resemble those beyond the limit leave with them (decision 0044).

A limit that is safe for sets whose good images differ leaves most defects in the set. Those that it finds say
what defects look like here: good images that are merely odd are odd in ways of their own.
"""

from typing import Protocol, runtime_checkable

import numpy as np

from irp_kedro.core.detector import Rows, Scores
from irp_kedro.core.doubt import LEAVES_ANYWAY

FEWEST = 8  # images that left; of fewer neither mean nor spread of their likeness to each other says much
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


def alike(witnesses: list[tuple[Scores, Scores]], way: Scores) -> Rows:
    """Return positions of those who are as much like those that left as these are like each other.

    Every witness has to say so. At the beginning of doubt an image has to come within one deviation of their
    mean, at the limit, where it is suspect by itself, within two.

    Args:
        witnesses: what each says of those that left, and of the (n_others,) in doubt.
        way: (n_others,) how far each is from the beginning of doubt, 0, to the limit, 1.
    """
    deviations = [
        (others - among.mean()) / max(float(among.std(ddof=1)), SMALLEST_SPREAD) for among, others in witnesses
    ]
    return np.flatnonzero(np.min(deviations, axis=0) >= -1 - way)
