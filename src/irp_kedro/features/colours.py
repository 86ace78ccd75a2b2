"""The colour of small cells, of which networks trained to name things keep little (decision 0046)."""

import torch
from torch import Tensor
from torch.nn import functional

from irp_kedro.features.bank import ExtractionRecipe
from irp_kedro.features.preparation import Preparation

COLOURS = "opponent_colours"  # stands in a recipe where features of a network have its name
DEFINITION = "1"  # in place of weights; another one wherever a cell comes to hold something else
CELL = 16  # side, pixels


def colour_cells(images: Tensor) -> Tensor:
    """Return mean and deviation of two opponent colours in each cell, (n, n_cells, 4), the cells row by row.

    Red against green, and their mean against blue: whatever is grey has none of either, however bright it is.
    The mean is that of the cell less that of the image, so that another light is no other colour; the deviation
    knows a stroke that is too thin to move the mean.

    Args:
        images: (n, 3, height, width) in [0, 1].
    """
    red, green, blue = images.double().unbind(dim=1)  # differences of squares need more than single precision
    opponents = torch.stack([red - green, (red + green) / 2 - blue], dim=1)
    height, width = images.shape[2:]
    grid = max(1, height // CELL), max(1, width // CELL)
    mean = functional.adaptive_avg_pool2d(opponents, grid)
    variance = functional.adaptive_avg_pool2d(opponents.square(), grid) - mean.square()
    apart = mean - mean.mean(dim=(2, 3), keepdim=True)
    cells = torch.cat([apart, variance.clamp_min(0).sqrt()], dim=1)
    return cells.flatten(2).transpose(1, 2).float()


def colour_recipe(preparation: Preparation) -> ExtractionRecipe:
    """Return how prepared images become colours: no network, the image as it is."""
    return ExtractionRecipe(
        backbone=COLOURS,
        weights=DEFINITION,
        crop=preparation.crop,
        size=preparation.size,
        aligned=preparation.aligned,
        aspect=preparation.aspect,
        angles=(0.0,),
        scales=(1.0,),
        precision="float32",
        patch_levels=1,
    )


def has_colour(features: Tensor) -> bool:
    """Return whether any cell differs from its image; in a set of grey images there is nothing to judge by."""
    return bool((features != 0).any())
