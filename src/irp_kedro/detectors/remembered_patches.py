"""Patches of some images, remembered to compare others with."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from irp_kedro.core import seeding
from irp_kedro.core.detector import Rows
from irp_kedro.detectors.patch_distances import as_columns, likeness_to

LARGEST_BYTE = 255


@dataclass(frozen=True)
class Drawing:
    """Which images are remembered, and which of their patches: drawn, and the same whoever is asked of.

    Attributes:
        seed: of the draws.
        references: images at most.
        per_image: patches of each.
    """

    seed: int
    references: int
    per_image: int

    def images(self, some: Rows) -> Rows:
        """Return those of ``some`` that are remembered, in order."""
        return np.sort(self._stream("references").permutation(some)[: self.references])

    def patches(self, rows: Rows, n_images: int, n_patches: int) -> Rows:
        """Return which patches of each of ``rows`` are remembered, (n_rows, per_image)."""
        places = self._stream("patches").permuted(np.tile(np.arange(n_patches), (n_images, 1)), axis=1)
        return places[rows, : self.per_image]

    def _stream(self, of: str) -> Generator:
        return seeding.stream(self.seed, "patch_memory", of)


@dataclass(frozen=True)
class RememberedPatches:
    """Patches (n_images, per_image, n_channels), the rows of their images (-1: none), and who these are.

    The rows are on the host too, where the set to compare with is chosen: nothing waits for a device's answer.
    ``columns`` are what patches are multiplied by to be compared with all of these.
    """

    patches: Tensor
    rows: Rows
    who: Tensor
    columns: Tensor

    @classmethod
    def of(cls, patches: Tensor, rows: Rows, who: Tensor, *, bfloat16: bool) -> Self:
        """Remember ``patches``."""
        return cls(patches, rows, who, as_columns(patches, bfloat16=bfloat16))

    def nearest(self, compared: Tensor) -> tuple[Tensor, Tensor]:
        """Return each patch's distance to the nearest patch of every remembered image, and which it is.

        Args:
            compared: (n, n_patches, n_channels).

        Returns:
            Both (n, n_patches, n_images), half precision and 16 bit.
        """
        pairs = [self._nearest(some) for some in _some_at_a_time(compared)]
        distance, patch = (torch.cat(kind) for kind in zip(*pairs, strict=True))
        return distance, patch

    def distances(self, compared: Tensor) -> Tensor:
        """Return the distances of :meth:`nearest` alone, which takes half of the time."""
        return torch.cat([self._distance(some, self._likeness(some)[1]) for some in _some_at_a_time(compared)])

    def _nearest(self, compared: Tensor) -> tuple[Tensor, Tensor]:
        likeness, most = self._likeness(compared)
        per_image = likeness.shape[1]
        # The first that is the most. Bits compare faster than bfloat16 does; a zero of another sign is no loss.
        bits = torch.int16 if likeness.dtype == torch.bfloat16 else torch.int32
        is_most = likeness.view(bits) == most.view(bits)
        rank = torch.uint8 if per_image < LARGEST_BYTE else torch.int16
        from_last = torch.arange(per_image, 0, -1, dtype=rank, device=compared.device)[:, None]
        patch = per_image - (is_most * from_last).amax(dim=1).to(torch.int16)
        return self._distance(compared, most), patch.clamp_max(per_image - 1).view(len(compared), -1, len(self))

    def _likeness(self, compared: Tensor) -> tuple[Tensor, Tensor]:
        """Return that to each remembered patch of each image, and the largest of an image's."""
        likeness = likeness_to(compared.flatten(0, 1), self.columns).view(-1, self.patches.shape[1], len(self))
        return likeness, likeness.amax(dim=1, keepdim=True)

    def _distance(self, compared: Tensor, most: Tensor) -> Tensor:
        squared = (
            compared.square().sum(dim=2, keepdim=True) - 2 * most.view(len(compared), -1, len(self)).float()
        )
        return squared.clamp_min(0).sqrt().half()

    def __len__(self) -> int:
        """Return the number of remembered images."""
        return len(self.patches)


def _some_at_a_time(compared: Tensor) -> Sequence[Tensor]:
    # On a CPU an image at a time: what lies between two passes stays in its cache.
    parts: Sequence[Tensor] = compared.split(1 if compared.device.type == "cpu" else len(compared))
    return parts
