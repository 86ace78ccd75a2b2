"""Where in the image the score comes from (paper, section 3.1): its gradient, followed back to the pixels.

The score is followed back through the detector and the frozen backbone, once for each of a few evenly rotated
views, and what is found is turned back with its view. The gradient at the pixels says where a change would
matter, but not where there is anything odd; so it is joined with what it meets on its way: how far the maps of
the backbone are from the training set's mean there (decision 0035).
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

    @property
    def centre(self) -> Tensor:
        """The mean feature (n_features,) of the training set."""
        ...

    def score_features(self, features: Tensor) -> Tensor:
        """Return scores (n_images,) of features (n_images, n_views, n_features), keeping the graph."""
        ...


@runtime_checkable
class MapsItself(Protocol):
    """A detector that scores places by itself."""

    def anomaly_map(self, rows: Rows, proportion: float = 1.0) -> Tensor:
        """Return maps (n_rows, height, width), higher = more anomalous.

        Args:
            rows: images.
            proportion: width over height of the images that patches were taken from.
        """
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

    The geometric mean of two maps, each scaled to the same mean: the gradient at the pixels, and the deviation
    of the backbone's maps weighted by the gradient there. The mean of what comes out is the root of the score
    (:func:`mean_of_map`): so maps of different images can be compared, though the gradient of a flow grows
    without bound away from the training set.

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
        turned = [rotate(leaf, [angle]) for leaf, angle in zip(leaves, angles, strict=True)]
        views = torch.stack(turned, dim=1).flatten(0, 1)
        with torch.autocast(images.device.type, torch.bfloat16, bfloat16):
            levels = backbone.maps(views)
        features = torch.cat([level.mean(dim=(2, 3)) for level in levels], dim=1)
        scores = detector.score_features(features.view(len(images), len(angles), -1))
        *at_pixels, at_features = torch.autograd.grad(scores.sum(), [*leaves, features])
    grid = max(1, images.shape[-1] // COARSER)
    gradient = _smoothed(torch.stack(at_pixels).abs().mean(dim=(0, 2)).nan_to_num())
    gradient = functional.adaptive_avg_pool2d(gradient, grid)
    deviation = _deviation([level.detach() for level in levels], at_features, detector.centre, grid)
    deviation = _turned_back(deviation.view(len(images), len(angles), grid, grid), angles)
    joined = _shares((_shares(gradient) * _shares(deviation)).sqrt())
    return joined * mean_of_map(scores.detach()).to(joined.device)[:, None, None]


def mean_of_map(scores: Tensor) -> Tensor:
    """Return the mean of the gradient map of an image with that score, (n_images,).

    The root of the score, softened because a negative log likelihood may be below zero.
    """
    return functional.softplus(scores.float()).sqrt().clamp(max=HIGHEST)


def _deviation(levels: Sequence[Tensor], weights: Tensor, centre: Tensor, grid: int) -> Tensor:
    """Return how far the maps of each view are from the mean, weighted, (n_views, grid, grid)."""
    found = torch.zeros((len(weights), 1, grid, grid), device=weights.device)
    start = 0
    for level in levels:
        channels = slice(start, start + level.shape[1])
        start = channels.stop
        away = (level - centre[channels, None, None]) * weights[:, channels, None, None]
        coarse = away.abs().sum(dim=1, keepdim=True).nan_to_num()
        found += functional.interpolate(coarse, size=(grid, grid), mode="bilinear")
    return found[:, 0]


def _turned_back(maps: Tensor, angles: Sequence[float]) -> Tensor:
    """Return the mean over views (n_images, side, side) of maps (n_images, n_views, side, side)."""
    upright = [rotate(maps[:, view, None], [-angle]) for view, angle in enumerate(angles)]
    return torch.stack(upright).mean(dim=0)[:, 0]


def _shares(maps: Tensor) -> Tensor:
    """Return maps (n_images, side, side) with a mean of 1 each."""
    return maps / maps.mean(dim=(1, 2), keepdim=True).clamp_min(torch.finfo(maps.dtype).tiny)


def _smoothed(maps: Tensor) -> Tensor:
    sigma = maps.shape[-1] * SMOOTHING
    size = 2 * math.ceil(3 * sigma) + 1
    smoothed: Tensor = gaussian_blur(maps[:, None], [size, size], [sigma, sigma])[:, 0]
    return smoothed
