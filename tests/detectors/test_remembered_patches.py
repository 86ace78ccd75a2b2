"""Remembered patches are compared with as loops over all pairs would."""

import numpy as np
import pytest
import torch

from irp_kedro.detectors.remembered_patches import RememberedPatches


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
