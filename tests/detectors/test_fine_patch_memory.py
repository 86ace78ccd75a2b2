"""What a memory of shallower maps finds, and how much closer it looks than the coarse one."""

from typing import Any

import numpy as np
import pytest

from irp_kedro.detectors.fine_patch_memory import FinePatchMemory
from irp_kedro.detectors.patch_memory import PatchMemory
from irp_kedro.detectors.registry import detector_type

ODD = 19  # its square covers rows 40 to 51 and columns 12 to 23 of 64


@pytest.fixture
def memory(surfaces: Any) -> FinePatchMemory:
    trained = surfaces.trained("fine_patch_memory")
    restored = detector_type("fine_patch_memory").restore(trained, surfaces.features("fine_patch_memory"))
    assert isinstance(restored, FinePatchMemory)
    return restored


def test_an_image_with_a_small_square_is_the_most_unusual_one(memory: FinePatchMemory) -> None:
    scores = memory.score(np.arange(20))
    assert scores.argmax() == ODD
    assert scores[ODD] > 2 * np.sort(scores)[-2]


def test_its_grid_is_finer_than_the_coarse_one_and_its_map_points_at_the_square(
    memory: FinePatchMemory, surfaces: Any
) -> None:
    _, n_patches, _ = surfaces.features("fine_patch_memory").shape
    _, n_coarse, _ = surfaces.features("patch_memory").shape
    assert n_patches > n_coarse
    (found,) = memory.anomaly_map(np.array([ODD])).numpy()
    cell = 64 / len(found)
    row, column = np.array(np.unravel_index(found.argmax(), found.shape)) * cell
    assert 40 - cell < row < 52
    assert 12 - cell < column < 24


def test_it_is_known_by_a_name_of_its_own(memory: FinePatchMemory) -> None:
    assert memory.export().detector == "fine_patch_memory" != PatchMemory.registered
