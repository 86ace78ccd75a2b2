"""Distances between patches of many images, each comparison one matrix product."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

SMALLEST_DEVIATION = 1e-3
POSITIONS_TOGETHER = 8
TOGETHER = 8  # images compared with a whole memory at a time
IMAGES_TOGETHER = 64


def statistics(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean patch at each position and the deviation of each channel, of all images at hand."""
    # Some positions at a time: a mean in float32 makes a copy of what it is taken of.
    parts = features.split(POSITIONS_TOGETHER, dim=1)
    mean = torch.cat([some.mean(dim=0, dtype=torch.float32) for some in parts])
    variance = torch.zeros(features.shape[2], device=features.device)
    overall = mean.mean(dim=0)
    for some in features.split(64):
        variance += (some.float() - overall).square().mean(dim=1).sum(dim=0)
    deviation = (variance / len(features)).sqrt().clamp_min(SMALLEST_DEVIATION)
    # Divided by the root of their number, distances do not grow with the channels of a backbone.
    return mean, deviation * features.shape[2] ** 0.5


def in_parts(compute: Callable[..., Tensor], *of: Tensor, together: int = TOGETHER) -> Tensor:
    """Return what ``compute`` gives of a few rows at a time, as one tensor.

    It is filled in place: parts kept one by one would lie between what each computation frees, and pin it.

    Args:
        compute: takes some rows of each of ``of``, and gives a row for each.
        of: one or more tensors of as many rows.
        together: how many rows at a time.
    """
    first = compute(*(values[:together] for values in of))
    found = first.new_empty((len(of[0]), *first.shape[1:]))
    found[:together] = first
    for start in range(together, len(found), together):
        found[start : start + together] = compute(*(values[start : start + together] for values in of))
    return found


def of_each(values: Tensor, patches: Tensor) -> Tensor:
    """Return the rows ``patches`` (n_images, some) of each image's own ``values`` (n_images, n_patches, n)."""
    return values.gather(1, patches[:, :, None].expand(-1, -1, values.shape[2]))


def as_columns(remembered: Tensor, *, bfloat16: bool) -> Tensor:
    """Return the remembered patches as columns, the first of each image, then the second of each, and so on.

    Below each is -|remembered|^2 / 2. So ordered, the largest of an image's is sought among rows.
    bfloat16 is enough: distances rank, and are averaged. The half square takes two rows of it, coarse and rest.
    """
    bank = remembered.transpose(0, 1).flatten(0, 1)
    squares = bank.square().sum(dim=1, keepdim=True) / -2
    if not bfloat16:
        return torch.cat([bank, squares], dim=1).T
    coarse = squares.bfloat16()
    return torch.cat([bank.bfloat16(), coarse, (squares - coarse.float()).bfloat16()], dim=1).T


def likeness_to(patches: Tensor, columns: Tensor) -> Tensor:
    """Return patch x remembered - |remembered|^2 / 2, (n_patches, n_remembered), largest for the nearest.

    One product, and nothing else passes over all pairs: ones take the half squares in.
    """
    ones = patches.new_ones((len(patches), len(columns) - patches.shape[1]))
    return torch.cat([patches, ones], dim=1).to(columns.dtype) @ columns


def kth_smallest(values: Tensor, k: int) -> Tensor:
    """Return the k-th smallest along the last dimension; ``k`` from 1."""
    if values.device.type != "cpu":
        return values.kthvalue(k, dim=-1).values
    # NumPy selects with vector instructions: an eighth of the time of torch's.
    partitioned = np.partition(values.numpy(), k - 1, axis=-1)
    return torch.from_numpy(np.ascontiguousarray(partitioned[..., k - 1]))


def of_images(values: Tensor, images: Tensor) -> Tensor:
    """Return what ``values`` (n, n_patches, n_images) say of some of these images, in their order."""
    if values.device.type != "cpu":
        return values.index_select(2, images)
    # Half of the time of torch's.
    return torch.from_numpy(np.take(values.numpy(), images.numpy(), axis=2))


def apart(distance: Tensor, own: Tensor) -> Tensor:
    """Return distances (n, n_patches, n_images) in single precision, infinite where an image is one's own.

    Args:
        distance: of each patch to the nearest of every image.
        own: (n, n_images) whether that is the image itself, or a copy.
    """
    return distance.float().masked_fill(own[:, None, :], torch.inf)


def nearest(patches: Tensor, who: Tensor, others: Tensor, who_else: Tensor, ranks: Sequence[int]) -> Tensor:
    """Return each patch's distance to the k-th nearest of the other images, (n_ranks, n_images, n_patches).

    An image is as near as the nearest of its patches.

    Args:
        patches: (n_images, n_patches, n_channels).
        who: (n_images,) fingerprints; no image is compared with itself or a copy.
        others: (n_others, n_patches, n_channels).
        who_else: (n_others,).
        ranks: each k, 1 to n_others; where fewer are others than itself, infinity.
    """

    def at_ranks(some: Tensor, whose: Tensor) -> Tensor:
        distance = torch.cdist(some.flatten(0, 1), others.flatten(0, 1))
        distance = distance.view(len(some), some.shape[1], len(others), -1).amin(dim=3)
        distance = apart(distance, whose[:, None] == who_else[None, :])
        return torch.stack([kth_smallest(distance, k) for k in ranks], dim=1)

    return in_parts(at_ranks, patches, who, together=IMAGES_TOGETHER).transpose(0, 1)
