"""Distances between images are computed once a pair, and forgotten where they would take too much."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from irp_kedro.core.detector import Rows
from irp_kedro.detectors.pair_distances import PairDistances

N_IMAGES, N_PATCHES = 12, 3
PAIR = 2 * N_PATCHES  # bytes
ALL = np.arange(N_IMAGES)

some_rows = st.sets(st.integers(0, N_IMAGES - 1), max_size=N_IMAGES).map(
    lambda chosen: np.array(sorted(chosen), dtype=np.intp)
)


class Comparing:
    """Distances that say which pair they are of, and who was compared."""

    def __init__(self) -> None:
        self.compared: list[tuple[int, int]] = []

    def __call__(self, asked: Rows, group: Rows) -> torch.Tensor:
        self.compared += [(one, other) for one in asked.tolist() for other in group.tolist()]
        return expected(asked, group)


def expected(asked: Rows, group: Rows) -> torch.Tensor:
    pairs = torch.from_numpy(asked[:, None] * N_IMAGES + group)
    return (pairs[..., None] + torch.arange(N_PATCHES) / 4).half()


def kept(most: int = 2**20) -> PairDistances:
    return PairDistances(N_IMAGES, N_PATCHES, torch.device("cpu"), most)


def learnt(pairs: PairDistances, asked: Rows, group: Rows, comparing: Comparing) -> torch.Tensor:
    found = [torch.empty(0, len(group), N_PATCHES, dtype=torch.float16)]
    for part in pairs.parts(asked, group):
        pairs.learn(part, group, comparing)
        found.append(pairs.of(part, group))
    return torch.cat(found)


@given(st.lists(st.tuples(some_rows, some_rows), max_size=6), st.integers(0, 100))
def test_whatever_was_asked_before_and_may_be_kept_distances_are_those_of_the_pairs(
    requests: list[tuple[Rows, Rows]], most: int
) -> None:
    pairs = kept(most * PAIR)
    for asked, group in requests:
        assert torch.equal(learnt(pairs, asked, group, Comparing()), expected(asked, group))


def test_no_pair_is_compared_twice() -> None:
    pairs, comparing = kept(), Comparing()
    learnt(pairs, ALL[:6], ALL[:4], comparing)
    learnt(pairs, ALL[2:6], ALL[1:4], comparing)
    assert len(comparing.compared) == 6 * 4
    learnt(pairs, ALL[3:8], ALL[2:7], comparing)  # 3 to 5 lack 4, 5 and 6, and 6 and 7 lack all five
    assert len(comparing.compared) == 6 * 4 + 3 * 3 + 2 * 5
    assert len(set(comparing.compared)) == len(comparing.compared)


def test_a_group_may_be_learnt_of_in_two_ways() -> None:
    pairs, one_way, other_way = kept(), Comparing(), Comparing()
    (part,) = pairs.parts(ALL[:3], ALL[4:8])
    pairs.learn(part, ALL[4:6], one_way)
    pairs.learn(part, ALL[6:8], other_way)
    assert torch.equal(pairs.of(part, ALL[4:8]), expected(ALL[:3], ALL[4:8]))
    assert len(one_way.compared) == len(other_way.compared) == 6


@pytest.mark.parametrize("most", [0, 1, 10, 40])
def test_no_more_is_kept_than_may_be_but_for_one_image(most: int) -> None:
    pairs = kept(most * PAIR)
    for asked, group in ((ALL[:6], ALL[:4]), (ALL[6:], ALL[2:9]), (ALL, ALL)):
        learnt(pairs, asked, group, Comparing())
        assert pairs._distances.nbytes <= max(most, len(group)) * PAIR
