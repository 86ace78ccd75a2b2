from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

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


@pytest.mark.parametrize(("colour", "means"), [(RED, (1.0, 0.5)), (GREEN, (-1.0, 0.5)), (BLUE, (0.0, -1.0))])
def test_a_plain_colour_has_its_place_on_both_axes_and_varies_nowhere(
    colour: Any, means: tuple[float, float]
) -> None:
    cells = colour_cells(plain(colour))
    assert cells.shape == (1, 4, 4)
    for cell in cells[0].tolist():
        assert cell == pytest.approx([*means, 0.0, 0.0])
    assert has_colour(cells)


def test_cells_lie_row_by_row() -> None:
    image = torch.zeros(1, 3, 2 * CELL, 3 * CELL)[..., : 2 * CELL]
    image[0, :, :CELL, CELL:] = torch.tensor(RED)[:, None, None]
    assert colour_cells(image)[0, :, 0].tolist() == [0.0, 1.0, 0.0, 0.0]


def test_a_thin_stroke_shows_in_the_deviation_more_than_in_the_mean() -> None:
    stroke = plain((0.5, 0.5, 0.5))
    stroke[0, 0, 3, :CELL] = 1.0
    mean, *_, deviation, _ = colour_cells(stroke)[0, 0].tolist()
    assert mean == pytest.approx(0.5 / CELL)
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
    assert (recipe.crop, recipe.size, recipe.weights) == ("centre", 64, "")
    assert ExtractionRecipe.from_dict(recipe.as_dict()) == recipe
    assert recipe.digest() != colour_recipe(Preparation(crop="none", size=64)).digest()
