import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from irp_kedro.features.views import even_angles, rotate


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@given(n_views=st.integers(1, 128))
def test_angles_are_evenly_spread_and_start_with_the_image_as_it_is(n_views: int) -> None:
    angles = even_angles(n_views)
    assert angles[0] == 0
    assert len(angles) == n_views
    assert all(angle == pytest.approx(view * 360 / n_views) for view, angle in enumerate(angles))


@pytest.mark.parametrize("side", [32, 33])
@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_quarter_turns_equal_rot90(side: int, quarters: int) -> None:
    images = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1))
    turned = rotate(images, [90.0 * quarters])
    torch.testing.assert_close(turned, torch.rot90(images, quarters, dims=(2, 3)), atol=1e-5, rtol=0)


def test_turns_are_counter_clockwise() -> None:
    image = torch.zeros(1, 1, 33, 33)
    image[..., 16, 32] = 1.0  # the middle of the right edge
    assert rotate(image, [90.0])[0, 0, 0, 16] == pytest.approx(1.0, abs=1e-4)  # the middle of the top edge


def test_no_turn_changes_no_bit(images: torch.Tensor) -> None:
    assert torch.equal(rotate(images, [0.0]), images)


def test_all_views_of_an_image_stand_together(images: torch.Tensor) -> None:
    angles = even_angles(4)
    views = rotate(images, angles).unflatten(0, (2, 4))
    for image, angle in ((0, 1), (1, 2)):
        alone = rotate(images[image : image + 1], [angles[angle]])[0]
        torch.testing.assert_close(views[image, angle], alone, atol=1e-6, rtol=0)


@pytest.mark.parametrize("angle", [7.5, 45.0, 123.0])
def test_no_artificial_corner_turns_in(angle: float) -> None:
    flat = torch.full((1, 3, 32, 32), 0.7)
    torch.testing.assert_close(rotate(flat, [angle]), flat, atol=1e-5, rtol=0)


@pytest.mark.parametrize("angle", [11.25, 45.0, 200.0])
def test_turning_back_restores_the_middle(angle: float) -> None:
    across = torch.linspace(0, 1, 32)
    ramp = (across[:, None] + 2 * across[None, :]).expand(1, 1, 32, 32)
    back = rotate(rotate(ramp, [angle]), [-angle])
    middle = slice(10, 22)
    torch.testing.assert_close(back[..., middle, middle], ramp[..., middle, middle], atol=1e-4, rtol=0)


def test_the_type_of_the_images_is_kept(images: torch.Tensor) -> None:
    assert rotate(images.double(), [30.0]).dtype == torch.float64
