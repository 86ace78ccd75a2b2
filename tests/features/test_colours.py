from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from irp_kedro.features.alignment import Alignment
from irp_kedro.features.bank import ExtractionRecipe
from irp_kedro.features.colours import CELL, colour_cells, colour_recipe, has_colour
from irp_kedro.features.preparation import Preparation

RED, GREEN, BLUE = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)


def plain(colour: tuple[float, float, float], side: int = 2 * CELL) -> torch.Tensor:
    """Return one image (1, 3, side, side) of one colour."""
    return torch.tensor(colour).view(1, 3, 1, 1).expand(1, 3, side, side).clone()


@given(st.integers(0, 255), st.integers(0, 9))
def test_grey_has_no_colour_however_bright_or_rough_it_is(level: int, seed: int) -> None:
    rough = np.random.default_rng(seed).integers(0, level + 1, (1, 1, 32, 32)) / 255
    grey = torch.from_numpy(rough).float().expand(1, 3, 32, 32)
    assert not has_colour(colour_cells(grey))


def half_and_half(colour: Any) -> torch.Tensor:
    """Return a grey image whose right half has a colour: two cells of each."""
    image = plain((0.5, 0.5, 0.5))
    image[:, :, :, CELL:] = plain(colour)[:, :, :, CELL:]
    return image


@pytest.mark.parametrize(("colour", "means"), [(RED, (0.5, 0.25)), (GREEN, (-0.5, 0.25)), (BLUE, (0.0, -0.5))])
def test_a_colour_has_its_place_on_both_axes_as_far_as_the_image_has_it_not_all_over(
    colour: Any, means: tuple[float, float]
) -> None:
    cells = colour_cells(half_and_half(colour))
    assert cells.shape == (1, 4, 4)
    grey, coloured, *_ = cells[0].tolist()
    assert coloured == pytest.approx([*means, 0.0, 0.0])
    assert grey == pytest.approx([-mean for mean in means] + [0.0, 0.0])
    assert has_colour(cells)


@given(st.tuples(*[st.floats(0, 0.5)] * 3), st.integers(0, 9))
def test_what_light_adds_all_over_is_no_colour_of_a_cell(light: tuple[float, ...], seed: int) -> None:
    image = torch.from_numpy(np.random.default_rng(seed).random((1, 3, 32, 32))).float() / 2
    lit = image + torch.tensor(light).view(1, 3, 1, 1)
    torch.testing.assert_close(colour_cells(lit), colour_cells(image), atol=1e-5, rtol=0)


def test_cells_lie_row_by_row() -> None:
    image = torch.zeros(1, 3, 2 * CELL, 2 * CELL)
    image[0, :, :CELL, CELL:] = torch.tensor(RED)[:, None, None]
    assert colour_cells(image)[0, :, 0].tolist() == [-0.25, 0.75, -0.25, -0.25]


def test_an_oblong_has_square_cells_too() -> None:
    image = torch.zeros(1, 3, 2 * CELL, 3 * CELL)
    image[0, 0, CELL:, 2 * CELL :] = 1.0
    cells = colour_cells(image)[0, :, 0].tolist()
    assert len(cells) == 6
    assert cells.index(max(cells)) == 5


def test_a_thin_stroke_shows_in_the_deviation_more_than_in_the_mean() -> None:
    stroke = plain((0.5, 0.5, 0.5))
    stroke[0, 0, 3, :CELL] = 1.0
    mean, *_, deviation, _ = colour_cells(stroke)[0, 0].tolist()
    assert mean == pytest.approx(0.75 * 0.5 / CELL)  # less a quarter of it, of the image
    assert deviation == pytest.approx(0.5 * (1 / CELL * (1 - 1 / CELL)) ** 0.5)
    assert deviation > 3 * mean


@given(st.floats(0.01, 1.0))
def test_a_plain_colour_of_any_strength_has_no_deviation(strength: float) -> None:
    cells = colour_cells(plain((strength, 0.3, 0.1)))
    assert cells[..., 2:].max() < 1e-6


@pytest.mark.parametrize(("side", "n_cells"), [(1, 1), (15, 1), (40, 4), (320, 400)])
def test_an_image_of_any_size_has_square_cells_that_cover_it(side: int, n_cells: int) -> None:
    assert colour_cells(plain(RED, side)).shape == (1, n_cells, 4)


def test_its_recipe_names_no_network_and_survives_being_written() -> None:
    recipe = colour_recipe(Preparation(crop="centre", size=64))
    assert (recipe.backbone, recipe.crop, recipe.size) == ("opponent_colours", "centre", 64)
    assert ExtractionRecipe.from_dict(recipe.as_dict()) == recipe
    level = Alignment(side=1.1, heading="AAAA")
    others = Preparation(crop="none", size=64), Preparation(crop="centre", size=64, aligned=level)
    assert recipe.digest() not in {colour_recipe(other).digest() for other in others}
