"""What comparing all images with a whole memory gives, made once where it is small enough to be kept."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from irp_kedro.core.detector import Rows
from irp_kedro.detectors.patch_distances import TOGETHER, in_parts, of_images
from irp_kedro.features.device import upload

BYTES = 4  # of a distance in half precision and the 16-bit number of a patch

Compare = Callable[[Tensor, Tensor | None], tuple[Tensor, Tensor]]


@dataclass
class MemoryTable:
    """Distance of every patch to the nearest of each remembered image, and which of its patches that is.

    Attributes:
        n_images: of the set.
        n_patches: of each.
        remembered: rows of the remembered images, in order.
        most: bytes that it may take; a larger one is made again, of the patches asked for, each time.
        made: both, (n_images, n_patches, n_remembered), once they were asked for.
    """

    n_images: int
    n_patches: int
    remembered: Rows
    most: int
    made: tuple[Tensor, Tensor] | None = None

    def of(self, rows: Tensor, patches: Tensor | None, compare: Compare) -> tuple[Tensor, Tensor]:
        """Return both, (n_rows, some, n_remembered).

        Args:
            rows: images.
            patches: which patches of each, (n_rows, some); all where it is left out.
            compare: takes the same, and computes them.
        """
        shape = self.n_images, self.n_patches, len(self.remembered)
        if math.prod(shape) * BYTES > self.most:
            return compare(rows, patches)
        if self.made is None:
            distance = torch.empty(shape, dtype=torch.float16, device=rows.device)
            patch = torch.empty(shape, dtype=torch.int16, device=rows.device)
            for some in torch.arange(self.n_images, device=rows.device).split(TOGETHER):
                distance[some], patch[some] = compare(some, None)
            self.made = distance, patch
        distance, patch = self.made
        if patches is None:
            return distance[rows], patch[rows]
        return distance[rows[:, None], patches], patch[rows[:, None], patches]

    def has(self, group: Rows) -> npt.NDArray[np.bool_]:
        """Return to which images the distances of all others have been made, (n_group,)."""
        return np.isin(group, self.remembered) if self.made else np.zeros(len(group), dtype=bool)

    def columns(self, asked: Rows, group: Rows) -> Tensor:
        """Return the distances to images that it :meth:`has`, (n_asked, n_group, n_patches)."""
        if self.made is None:
            raise RuntimeError("No distances have been made; ask has() first.")
        distance, _ = self.made
        columns = upload(np.searchsorted(self.remembered, group), distance.device)
        return in_parts(
            lambda some: of_images(distance[some], columns).transpose(1, 2), upload(asked, distance.device)
        )
