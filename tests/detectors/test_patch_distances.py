"""Distances between patches, against loops over all pairs."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from irp_kedro.detectors.patch_distances import (
    as_columns,
    in_parts,
    kth_smallest,
    likeness_to,
    nearest,
    of_each,
    of_images,
    statistics,
)


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_the_mean_is_that_of_each_position_and_the_deviation_that_of_all() -> None:
    features = drawn(40, 9, 3).half()
    mean, deviation = statistics(features)
    exact = features.double().numpy()
    np.testing.assert_allclose(mean, exact.mean(axis=0), atol=1e-5)
    spread = np.sqrt(((exact - exact.mean(axis=(0, 1))) ** 2).mean(axis=(0, 1)))
    np.testing.assert_allclose(deviation, spread * np.sqrt(3), rtol=1e-4)


def test_each_image_gives_the_patches_it_is_asked_for() -> None:
    values = torch.arange(24).view(2, 4, 3)
    assert of_each(values, torch.tensor([[3, 0], [1, 1]])).tolist() == [
        [[9, 10, 11], [0, 1, 2]],
        [[15, 16, 17], [15, 16, 17]],
    ]


@pytest.mark.parametrize("images", [[2], [0, 1, 2], [0, 2]])
@pytest.mark.parametrize("dtype", [torch.float16, torch.int16])
def test_some_images_are_taken_in_their_order(images: list[int], dtype: torch.dtype) -> None:
    values = torch.arange(24).view(4, 2, 3).to(dtype)
    assert torch.equal(of_images(values, torch.tensor(images)), values[:, :, images])


@pytest.mark.parametrize(("bfloat16", "tolerance"), [(False, 1e-5), (True, 0.2)])
def test_the_likeness_gives_the_squared_distance(tolerance: float, *, bfloat16: bool) -> None:
    patches, remembered = drawn(5, 8), drawn(3, 4, 8, seed=1)
    likeness = likeness_to(patches, as_columns(remembered, bfloat16=bfloat16)).float()
    squared = patches.square().sum(dim=1, keepdim=True) - 2 * likeness
    first_of_each = remembered.transpose(0, 1).flatten(0, 1)
    expected = torch.cdist(patches, first_of_each).square()
    torch.testing.assert_close(squared, expected, atol=tolerance, rtol=0.02)


def test_the_nearest_ones_are_other_images_and_never_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("irp_kedro.detectors.patch_distances.IMAGES_TOGETHER", 2)
    patches, others = drawn(5, 3, 4), drawn(4, 3, 4, seed=1)
    others[1] = patches[1]
    who, who_else = torch.tensor([10, 11, 12, 13, 14]), torch.tensor([20, 11, 22, 13])
    found = nearest(patches, who, others, who_else, ranks=(1, 3))
    for image, patch in np.ndindex(5, 3):
        steps = [
            min(float((patches[image, patch] - others[other, place]).norm()) for place in range(3))
            for other in range(4)
            if who[image] != who_else[other]
        ]
        first, _, third = sorted(steps)[:3]
        assert found[:, image, patch].tolist() == pytest.approx([first, third], abs=1e-5)


def test_without_another_image_nothing_is_near() -> None:
    patches, who = drawn(2, 3, 4), torch.tensor([1, 1])
    assert nearest(patches, who, patches, who, ranks=(1, 2)).isinf().all()


@pytest.mark.parametrize("n_rows", [0, 1, 8, 11])
def test_a_few_rows_at_a_time_give_what_all_give_at_once(n_rows: int) -> None:
    values = torch.arange(3.0 * n_rows).view(n_rows, 3)
    factors = torch.arange(float(n_rows))[:, None]
    sizes = []

    def product(some: torch.Tensor, its: torch.Tensor) -> torch.Tensor:
        sizes.append(len(some))
        return some * its

    assert torch.equal(in_parts(product, values, factors, together=4), values * factors)
    assert max(sizes) <= 4


@given(st.integers(1, 7), st.integers(0, 99), st.booleans())
def test_the_kth_smallest_is_that_of_torch_copies_and_the_infinite_included(
    k: int, seed: int, with_copies: bool
) -> None:
    values = torch.rand((3, 5, 7), generator=torch.Generator().manual_seed(seed))
    values[0, 0, :3] = torch.inf
    if with_copies:
        values = (values * 3).round()
    assert torch.equal(kth_smallest(values, k), values.kthvalue(k, dim=2).values)
