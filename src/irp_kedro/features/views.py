"""Evenly rotated views of an image, made on the device (decision 0015)."""

import math

import torch
from torch import Tensor
from torch.nn import functional


def even_angles(n_views: int) -> list[float]:
    """Return ``n_views`` angles spread evenly over the circle, degrees; the first is the image as it is.

    >>> even_angles(4)
    [0.0, 90.0, 180.0, 270.0]
    """
    return [360.0 * view / n_views for view in range(n_views)]


def rotate(images: Tensor, angles: list[float]) -> Tensor:
    """Return every image turned by every angle about its centre.

    What turns in from outside is the image mirrored at its edge, so no artificial corner is scored.

    Args:
        images: (n, channels, side, side), any float type.
        angles: degrees, counter-clockwise.

    Returns:
        (n * len(angles), channels, side, side); all views of an image stand together.
    """
    n, _, height, width = images.shape
    grid = rotation_grids(angles, height, width, images.device).to(images.dtype)
    repeated = images.repeat_interleave(len(angles), dim=0)
    return functional.grid_sample(
        repeated, grid.repeat(n, 1, 1, 1), mode="bilinear", padding_mode="reflection", align_corners=False
    )


def rotation_grids(angles: list[float], height: int, width: int, device: torch.device) -> Tensor:
    """Return where the pixels of each view come from, (n_angles, height, width, 2), for ``grid_sample``."""
    turns = torch.tensor([math.radians(angle) for angle in angles], device=device)
    cos, sin, zero = turns.cos(), turns.sin(), torch.zeros_like(turns)
    matrices = torch.stack([torch.stack([cos, -sin, zero], 1), torch.stack([sin, cos, zero], 1)], 1)
    return functional.affine_grid(matrices, [len(angles), 1, height, width], align_corners=False)
