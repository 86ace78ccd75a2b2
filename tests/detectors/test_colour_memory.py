"""What a memory of colours finds in images drawn here, and what it lets pass."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from irp_kedro.detectors.colour_memory import ColourMemory
from irp_kedro.detectors.settings import DetectorSettings
from irp_kedro.features.colours import CELL, colour_cells

Settings = Callable[..., DetectorSettings]
N_IMAGES, SIDE, LAST = 30, 6 * CELL, 29


def drawn() -> torch.Tensor:
    """Return thirty images of one colour, each with grain of its own."""
    grain = torch.randn((N_IMAGES, 3, SIDE, SIDE), generator=torch.Generator().manual_seed(0))
    return (torch.tensor([0.6, 0.5, 0.4]).view(1, 3, 1, 1) + 0.03 * grain).clamp(0, 1)


def scores_of(images: torch.Tensor, settings: DetectorSettings) -> np.ndarray:
    memory = ColourMemory(colour_cells(images).half(), settings)
    memory.fit(np.arange(N_IMAGES), epochs=1)
    return memory.score(np.arange(N_IMAGES))


def deviations(scores: np.ndarray) -> float:
    """Return how far the last image is from the others, in the spread of theirs."""
    return float((scores[LAST] - scores[:LAST].mean()) / scores[:LAST].std())


@pytest.mark.parametrize("stain", [(0.25, 0.0, 0.0), (0.0, 0.0, -0.25), (-0.2, 0.2, 0.0)], ids=str)
def test_a_stain_of_another_colour_is_found(stain: tuple[float, ...], settings: Settings) -> None:
    images = drawn()
    images[LAST, :, 20:28, 30:38] += torch.tensor(stain).view(3, 1, 1)
    assert deviations(scores_of(images, settings())) > 8


def test_a_stain_that_is_only_darker_is_left_to_others(settings: Settings) -> None:
    images = drawn()
    images[LAST, :, 20:28, 30:38] -= 0.3
    assert deviations(scores_of(images, settings())) < 4


def test_light_that_adds_to_the_whole_image_is_no_stain(settings: Settings) -> None:
    images = drawn()
    images[LAST] += torch.tensor([0.05, 0.0, -0.05]).view(3, 1, 1)
    assert deviations(scores_of(images, settings())) < 4
