"""Remembered patches are compared with as loops over all pairs would."""

import numpy as np
import pytest
import torch

from irp_kedro.detectors.remembered_patches import Drawing, RememberedPatches


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("bfloat16", "tolerance"), [(False, 5e-3), (True, 0.1)])
def test_the_nearest_patch_of_every_remembered_image_is_found(tolerance: float, *, bfloat16: bool) -> None:
    remembered, compared = drawn(3, 6, 16), drawn(2, 5, 16, seed=1)
    memory = RememberedPatches.of(remembered, np.arange(3), torch.arange(3), bfloat16=bfloat16)
    distance, patch = memory.nearest(compared)
    exact = torch.stack([torch.cdist(compared, image.expand(2, -1, -1)) for image in remembered], dim=2)
    torch.testing.assert_close(distance.float(), exact.amin(dim=3), atol=tolerance, rtol=0.02)
    found = exact.gather(3, patch.long()[..., None])[..., 0]
    torch.testing.assert_close(found, exact.amin(dim=3), atol=tolerance, rtol=0.02)


def test_a_patch_that_is_remembered_is_no_distance_away() -> None:
    remembered = drawn(3, 6, 16)
    memory = RememberedPatches.of(remembered, np.arange(3), torch.arange(3), bfloat16=False)
    distance, patch = memory.nearest(remembered)
    assert distance[[0, 1, 2], :, [0, 1, 2]].max() < 0.01
    assert (patch[[0, 1, 2], :, [0, 1, 2]] == torch.arange(6)).all()


@pytest.mark.parametrize("bfloat16", [False, True])
@pytest.mark.parametrize("per_image", [6, 300])
def test_of_patches_that_are_equally_near_the_first_is_named(per_image: int, *, bfloat16: bool) -> None:
    remembered = drawn(2, 3, 8)[:, torch.arange(per_image) % 3]
    memory = RememberedPatches.of(remembered, np.arange(2), torch.arange(2), bfloat16=bfloat16)
    _, patch = memory.nearest(remembered[:, :3])
    assert patch[[0, 1], :, [0, 1]].tolist() == 2 * [[0, 1, 2]]


def test_how_many_images_are_compared_at_a_time_changes_nothing() -> None:
    memory = RememberedPatches.of(drawn(3, 6, 16), np.arange(3), torch.arange(3), bfloat16=True)
    compared = drawn(4, 5, 16, seed=1)
    together, alone = memory.nearest(compared), [memory.nearest(one) for one in compared.split(1)]
    assert torch.equal(memory.distances(compared), together[0])
    for whole, parts in zip(together, zip(*alone, strict=True), strict=True):
        assert torch.equal(whole, torch.cat(parts))


def test_of_few_images_all_are_remembered_and_of_many_some_in_order() -> None:
    drawing = Drawing(seed=0, references=5, per_image=2)
    assert drawing.images(np.array([7, 3, 9])).tolist() == [3, 7, 9]
    chosen = drawing.images(np.arange(100)).tolist()
    assert len(set(chosen)) == 5
    assert chosen == sorted(chosen)
    assert chosen != Drawing(seed=1, references=5, per_image=2).images(np.arange(100)).tolist()


def test_the_same_patches_of_an_image_are_remembered_whoever_is_beside_it() -> None:
    drawing = Drawing(seed=0, references=5, per_image=2)
    both, one = (drawing.patches(np.array(rows), 10, 6) for rows in ([3, 8], [8]))
    assert both[1].tolist() == one[0].tolist()
    assert (both[:, 0] != both[:, 1]).all()
