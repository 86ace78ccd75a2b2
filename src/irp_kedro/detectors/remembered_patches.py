"""Patches of some images, remembered to compare others with."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from irp_kedro.core.detector import Rows
from irp_kedro.detectors.patch_distances import as_columns, likeness_to

LARGEST_BYTE = 255


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
        # On a CPU an image at a time: what lies between two passes stays in its cache.
        together = 1 if compared.device.type == "cpu" else len(compared)
        found = [self._nearest(some) for some in compared.split(together)]
        distance, patch = (torch.cat(kind) for kind in zip(*found, strict=True))
        return distance, patch

    def _nearest(self, compared: Tensor) -> tuple[Tensor, Tensor]:
        n_images, per_image, _ = self.patches.shape
        likeness = likeness_to(compared.flatten(0, 1), self.columns).view(-1, per_image, n_images)
        most = likeness.amax(dim=1, keepdim=True)
        # The first that is the most. Bits compare faster than bfloat16 does; a zero of another sign is no loss.
        bits = torch.int16 if likeness.dtype == torch.bfloat16 else torch.int32
        is_most = likeness.view(bits) == most.view(bits)
        rank = torch.uint8 if per_image < LARGEST_BYTE else torch.int16
        from_last = torch.arange(per_image, 0, -1, dtype=rank, device=compared.device)[:, None]
        patch = per_image - (is_most * from_last).amax(dim=1).to(torch.int16)
        shape = (len(compared), -1, n_images)
        squared = compared.square().sum(dim=2, keepdim=True) - 2 * most.view(shape).float()
        return squared.clamp_min(0).sqrt().half(), patch.clamp_max(per_image - 1).view(shape)
