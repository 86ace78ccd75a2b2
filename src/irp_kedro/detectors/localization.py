"""Where in the image the score comes from (paper, section 3.1): its gradient at the pixels.

The score is followed back through the flow and through the frozen backbone, once for each of a few evenly
rotated views, and every gradient is turned back with its view (decision 0035).
"""

import math
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.transforms.functional import gaussian_blur

from irp_kedro.core.detector import Rows
from irp_kedro.features.backbone import Backbone
from irp_kedro.features.views import rotate

SMOOTHING = 1 / 64  # standard deviation of the smoothing, relative to the side of the image
COARSER = 2  # side of the cells that are averaged, pixels; below the smoothing, so that nothing is lost
HIGHEST = 1000.0  # mean of a map, so that its peaks fit half precision


@runtime_checkable
class Differentiable(Protocol):
    """A detector whose score can be followed back to the features."""

    def score_features(self, features: Tensor) -> Tensor:
        """Return scores (n_images,) of features (n_images, n_views, n_features), keeping the graph."""
        ...


@runtime_checkable
class MapsItself(Protocol):
    """A detector that scores places by itself."""

    def anomaly_map(self, rows: Rows) -> Tensor:
        """Return maps (n_rows, height, width), higher = more anomalous."""
        ...


def gradient_maps(
    detector: Differentiable,
    backbone: Backbone,
    images: Tensor,
    angles: Sequence[float],
    *,
    bfloat16: bool = False,
) -> Tensor:
    """Return where in each image its score comes from, (n_images, side / 2, side / 2).

    The magnitude of the gradient, averaged over views and colours and smoothed, says where; the mean of the map
    is the root of the score (:func:`mean_of_map`). So maps of different images can be compared, though the
    gradient of a flow grows without bound away from the training set.

    Args:
        detector: trained.
        backbone: that its features come from.
        images: (n_images, 3, side, side) in [0, 1].
        angles: of the views, degrees; multiples of 90 turn without interpolation.
        bfloat16: arithmetic of the backbone.
    """
    # A leaf for each view, since their gradients would cancel out in a sum; rotate's backward turns them back.
    leaves = [images.clone().requires_grad_() for _ in angles]
    with torch.enable_grad():
        views = torch.stack(
            [rotate(leaf, [angle]) for leaf, angle in zip(leaves, angles, strict=True)], dim=1
        ).flatten(0, 1)
        with torch.autocast(images.device.type, torch.bfloat16, bfloat16):
            features = backbone(views)
        scores = detector.score_features(features.float().unflatten(0, (len(images), len(angles))))
        gradients = torch.autograd.grad(scores.sum(), leaves)
    magnitude = _smoothed(torch.stack(gradients).abs().mean(dim=(0, 2)).nan_to_num())
    maps = functional.avg_pool2d(magnitude, min(COARSER, magnitude.shape[-1]))
    shares = maps / maps.mean(dim=(1, 2), keepdim=True).clamp_min(torch.finfo(maps.dtype).tiny)
    return shares * mean_of_map(scores.detach()).to(maps.device)[:, None, None]


def mean_of_map(scores: Tensor) -> Tensor:
    """Return the mean of the gradient map of an image with that score, (n_images,).

    The root of the score, softened because a negative log likelihood may be below zero.
    """
    return functional.softplus(scores.float()).sqrt().clamp(max=HIGHEST)


def _smoothed(maps: Tensor) -> Tensor:
    sigma = maps.shape[-1] * SMOOTHING
    size = 2 * math.ceil(3 * sigma) + 1
    smoothed: Tensor = gaussian_blur(maps[:, None], [size, size], [sigma, sigma])[:, 0]
    return smoothed
