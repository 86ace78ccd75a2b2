"""Distances between images, kept: suspects are asked of in every cycle, and each pair is compared once."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from irp_kedro.core.detector import Rows
from irp_kedro.features.device import upload

BYTES = 2  # of a distance, in half precision

Compare = Callable[[Rows, Rows], Tensor]


class PairDistances:
    """How far each patch of an image is from the nearest patch of another, of the pairs asked for so far.

    Args:
        n_images: of the set.
        n_patches: of an image.
        device: where distances are kept.
        most: bytes that they may take; where more would be, all those so far are forgotten.
    """

    def __init__(self, n_images: int, n_patches: int, device: torch.device, most: int) -> None:
        self._n_images, self._n_patches = n_images, n_patches
        self._device = device
        self._most = most
        self._forget()

    def parts(self, asked: Rows, group: Rows) -> Iterator[Rows]:
        """Yield ``asked``, as many of them at a time as may be kept with a ``group``, once there is room."""
        size = max(1, self._most // (BYTES * self._n_patches * max(1, len(group))))
        for start in range(0, len(asked), size):
            part = asked[start : start + size]
            self._make_room(part, group)
            yield part

    def learn(self, asked: Rows, group: Rows, compare: Compare) -> None:
        """Compare ``asked`` with a ``group`` where that has not been done.

        Args:
            asked: one of the :meth:`parts`.
            group: those they are compared with, or some of them.
            compare: takes both, and gives (n_asked, n_group, n_patches), half precision.
        """
        missing = ~self._known[self._places(asked, group)]
        new = missing.all(axis=1)
        for some, lacking in ((asked[new], missing[new]), (asked[~new], missing[~new])):
            ones, others = some[lacking.any(axis=1)], group[lacking.any(axis=0)]
            if len(ones):
                places = self._places(ones, others)
                self._distances[tuple(upload(place, self._device) for place in places)] = compare(ones, others)
                self._known[places] = True

    def of(self, asked: Rows, group: Rows) -> Tensor:
        """Return what was learnt of these pairs, (n_asked, n_group, n_patches)."""
        return self._distances[tuple(upload(place, self._device) for place in self._places(asked, group))]

    def _places(self, asked: Rows, group: Rows) -> tuple[Rows, ...]:
        return np.ix_(self._row[asked], self._column[group])

    def _forget(self) -> None:
        self._row, self._column = (np.full(self._n_images, -1) for _ in range(2))
        self._known = np.zeros((0, 0), dtype=bool)
        self._distances = torch.empty((0, 0, self._n_patches), dtype=torch.float16, device=self._device)

    def _make_room(self, asked: Rows, group: Rows) -> None:
        new_rows, new_columns = asked[self._row[asked] < 0], group[self._column[group] < 0]
        if not len(new_rows) and not len(new_columns):
            return
        before = self._known.shape
        n_rows, n_columns = before[0] + len(new_rows), before[1] + len(new_columns)
        if self._known.size and n_rows * n_columns * self._n_patches * BYTES > self._most:
            self._forget()
            self._make_room(asked, group)
            return
        self._row[new_rows] = np.arange(before[0], n_rows)
        self._column[new_columns] = np.arange(before[1], n_columns)
        known, distances = self._known, self._distances
        self._known = np.zeros((n_rows, n_columns), dtype=bool)
        self._known[: before[0], : before[1]] = known
        self._distances = distances.new_empty((n_rows, n_columns, self._n_patches))
        self._distances[: before[0], : before[1]] = distances
