"""The table of a memory is made once, where it may be kept, and knows whose distances it has."""

import numpy as np
import pytest
import torch
from torch import Tensor

from irp_kedro.detectors.memory_table import BYTES, MemoryTable

N_IMAGES, N_PATCHES, REMEMBERED = 9, 4, np.array([1, 4, 6])
SIZE = N_IMAGES * N_PATCHES * len(REMEMBERED) * BYTES


class Comparing:
    """Distances drawn once, and how many images were compared."""

    def __init__(self) -> None:
        self.distance = torch.rand(
            N_IMAGES, N_PATCHES, len(REMEMBERED), generator=torch.Generator().manual_seed(0)
        ).half()
        self.patch = (self.distance * 100).to(torch.int16)
        self.compared = 0

    def __call__(self, rows: Tensor, patches: Tensor | None) -> tuple[Tensor, Tensor]:
        self.compared += len(rows)
        which = torch.arange(N_PATCHES).expand(len(rows), -1) if patches is None else patches
        return self.distance[rows[:, None], which], self.patch[rows[:, None], which]


def table(most: int = SIZE) -> MemoryTable:
    return MemoryTable(N_IMAGES, N_PATCHES, REMEMBERED, most)


@pytest.mark.parametrize("most", [SIZE, SIZE - 1])
@pytest.mark.parametrize("patches", [None, torch.tensor([[0, 3], [2, 1]])])
def test_what_it_gives_is_what_comparing_gives(patches: Tensor | None, most: int) -> None:
    rows, comparing = torch.tensor([7, 2]), Comparing()
    for found, expected in zip(table(most).of(rows, patches, comparing), comparing(rows, patches), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize(("most", "times"), [(SIZE, 1), (SIZE - 1, 3)])
def test_every_image_is_compared_once_where_the_table_may_be_kept(most: int, times: int) -> None:
    comparing, made = Comparing(), table(most)
    for _ in range(3):
        made.of(torch.arange(N_IMAGES), None, comparing)
    assert comparing.compared == times * N_IMAGES


def test_it_has_the_distances_to_remembered_images_once_they_were_made() -> None:
    comparing, made, group = Comparing(), table(), np.array([0, 4, 6, 8])
    assert not made.has(group).any()
    with pytest.raises(RuntimeError, match="No distances have been made"):
        made.columns(np.array([8]), np.array([4]))
    made.of(torch.arange(2), None, comparing)
    assert made.has(group).tolist() == [False, True, True, False]
    columns = made.columns(np.array([8, 0, 3]), np.array([4, 6]))
    assert torch.equal(columns, comparing.distance[[8, 0, 3]][:, :, 1:].transpose(1, 2))
