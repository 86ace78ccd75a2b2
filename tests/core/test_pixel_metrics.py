from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.metrics import roc_auc_score

from irp_kedro.core import pixel_metrics
from irp_kedro.core.pixel_metrics import PixelHistogram, total

Map = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Images = Sequence[tuple[Map, Mask]]


def images(n_images: int = 6, side: int = 24, seed: int = 0) -> list[tuple[Map, Mask]]:
    """Return maps with noise that are higher in one to three square regions; the first image is a good one."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(n_images):
        mask = np.zeros((side, side), dtype=bool)
        for _ in range(number % 4):
            top, left = rng.integers(0, side - 6, 2)
            mask[top : top + rng.integers(2, 6), left : left + rng.integers(2, 6)] = True
        scores = rng.gamma(2.0, 1.0, mask.shape) + mask * rng.gamma(2.0, 1.5, mask.shape)
        found.append((scores.astype(np.float32), mask))
    return found


def histogram(pairs: Images) -> PixelHistogram:
    counted = PixelHistogram()
    for scores, mask in pairs:
        counted.add(scores, mask)
    return counted


def regions(mask: Mask) -> list[list[tuple[int, int]]]:
    """Flood fill, diagonals included, one pixel at a time."""
    left = set(map(tuple, np.argwhere(mask).tolist()))
    found = []
    while left:
        todo, region = [left.pop()], []
        while todo:
            row, column = todo.pop()
            region.append((row, column))
            around = {(row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
            left -= around
            todo += around
        found.append(region)
    return found


def slow_aupro(pairs: Images, limit: float = 0.3) -> float:
    """The definition itself: at every score of any pixel, the mean overlap with each region, and the area."""
    every = np.unique(np.concatenate([scores.ravel() for scores, _ in pairs]))[::-1]
    n_normal = sum(int((~mask).sum()) for _, mask in pairs)
    points = [(0.0, 0.0)]
    listed = [(scores, region) for scores, mask in pairs for region in regions(mask)]
    for threshold in every:
        alarms = sum(int(((scores >= threshold) & ~mask).sum()) for scores, mask in pairs)
        overlap = [np.mean([scores[pixel] >= threshold for pixel in region]) for scores, region in listed]
        points.append((alarms / n_normal, float(np.mean(overlap))))
    area = 0.0
    for (x, y), (next_x, next_y) in pairwise(points):
        if next_x <= limit:
            area += (next_x - x) * (y + next_y) / 2
        elif x < limit:
            at_limit = y + (next_y - y) * (limit - x) / (next_x - x)
            area += (limit - x) * (y + at_limit) / 2
    return area / limit


@pytest.mark.parametrize("seed", range(5))
def test_pixel_auroc_is_scikit_learns(seed: int) -> None:
    pairs = images(seed=seed)
    scores = np.concatenate([scores.ravel() for scores, _ in pairs])
    masks = np.concatenate([mask.ravel() for _, mask in pairs])
    assert histogram(pairs).metrics()["pixel_auroc"] == pytest.approx(roc_auc_score(masks, scores), abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_aupro_is_the_area_below_the_mean_overlap_of_each_region_counted_slowly(seed: int) -> None:
    pairs = images(side=16, seed=seed)
    assert histogram(pairs).metrics()["aupro"] == pytest.approx(slow_aupro(pairs), abs=1e-6)


def test_equal_scores_are_one_step_of_the_curve() -> None:
    pairs = [(np.round(scores).astype(np.float32), mask) for scores, mask in images(side=16)]
    assert histogram(pairs).metrics()["aupro"] == pytest.approx(slow_aupro(pairs), abs=1e-9)


def test_scores_below_nothing_keep_their_order() -> None:
    pairs = [(scores - 4, mask) for scores, mask in images()]
    expected = histogram(images()).metrics()
    assert histogram(pairs).metrics() == pytest.approx(expected, abs=1e-4)
    scores = np.concatenate([scores.ravel() for scores, _ in pairs])
    masks = np.concatenate([mask.ravel() for _, mask in pairs])
    assert histogram(pairs).metrics()["pixel_auroc"] == pytest.approx(roc_auc_score(masks, scores), abs=1e-6)


def test_a_perfect_map_scores_one_and_a_small_region_weighs_as_much_as_a_large_one() -> None:
    mask = np.zeros((10, 10), dtype=bool)
    mask[0, 0] = mask[4:8, 4:8] = True
    assert histogram([(mask.astype(np.float32), mask)]).metrics() == {"pixel_auroc": 1.0, "aupro": 1.0}
    only_large = mask.astype(np.float32)
    only_large[0, 0] = 0  # the small one is found with the normal pixels, half-way on average
    found = histogram([(only_large, mask)]).metrics()
    assert found["aupro"] == pytest.approx(0.5 + 0.5 * 0.15)


def test_diagonal_neighbours_are_one_region() -> None:
    counted = histogram([(np.ones((4, 4), dtype=np.float32), np.eye(4, dtype=bool))])
    assert counted.n_regions == 1


def test_histograms_add_up_to_that_of_all_images() -> None:
    pairs = images()
    parts = [histogram([pair]) for pair in pairs]
    assert total(parts).metrics() == histogram(pairs).metrics()
    assert total(parts).n_images == len(pairs)


def test_memory_does_not_grow_with_the_number_of_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixel_metrics, "MOST_SCORES", 2_000)
    monkeypatch.setattr(pixel_metrics, "CONSOLIDATE_AT", 3_000)
    counted = histogram(images(40))
    assert sum(len(keys) for keys, _ in counted._parts) <= 3_000


def test_more_scores_than_are_told_apart_change_the_sixth_digit_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pairs = images(30, side=200)  # 1.2 million pixels
    coarse = histogram(pairs).metrics()
    halves = total([histogram(pairs[:11]), histogram(pairs[11:])]).metrics()
    monkeypatch.setattr(pixel_metrics, "MOST_SCORES", 10_000_000)
    exact = histogram(pairs).metrics()
    assert coarse != exact
    assert coarse == pytest.approx(exact, abs=1e-6)
    assert halves == pytest.approx(exact, abs=1e-6)


def test_without_a_defective_or_a_normal_pixel_nothing_is_defined() -> None:
    nothing = {"pixel_auroc": None, "aupro": None}
    scores = np.ones((3, 3), dtype=np.float32)
    assert histogram([(scores, np.zeros((3, 3), dtype=bool))]).metrics() == nothing
    assert histogram([(scores, np.ones((3, 3), dtype=bool))]).metrics() == nothing
    assert PixelHistogram().metrics() == nothing
