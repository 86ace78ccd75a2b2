"""Patches of some images, remembered to compare others with."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from irp_kedro.core.detector import Rows
from irp_kedro.detectors.patch_distances import as_columns, likeness_to


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
        n_images, per_image, _ = self.patches.shape
        likeness = likeness_to(compared.flatten(0, 1), self.columns)
        most, patch = likeness.view(len(compared), -1, n_images, per_image).max(dim=3)
        squared = compared.square().sum(dim=2, keepdim=True) - 2 * most.float()
        return squared.clamp_min(0).sqrt().half(), patch.to(torch.int16)
