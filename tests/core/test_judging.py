from collections.abc import Callable
from typing import Self

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from irp_kedro.core.detector import Rows, Scores
from irp_kedro.core.judging import Apart, HeldOut, InSample

TABLE = np.arange(100.0) + 1


class SpyDetector:
    """Scores each row by a table and remembers what it was fitted on and what it scored."""

    def __init__(self, name: str, made: "list[SpyDetector]", bias: Callable[[Scores], Scores]) -> None:
        self.name, self.made, self.bias = name, made, bias
        self.fitted: set[int] = set()
        self.scored: list[int] = []
        self.epochs = 0

    def fit(self, rows: Rows, *, epochs: int) -> list[float]:
        self.fitted |= set(rows.tolist())
        self.epochs += epochs
        return []

    def score(self, rows: Rows) -> Scores:
        self.scored += rows.tolist()
        return self.bias(TABLE[rows])

    def fresh(self, name: str) -> Self:
        spy = type(self)(name, self.made, self.bias)
        self.made.append(spy)
        return spy


def spy_on(bias: Callable[[Scores], Scores] = lambda scores: scores) -> SpyDetector:
    return SpyDetector("template", [], bias)


def held_out(spy: SpyDetector, *, folds: int = 3, epochs: int = 2, seed: int = 0) -> HeldOut:
    return HeldOut(spy.fresh, folds=folds, epochs=epochs, seed=seed)


row_sets = st.sets(st.integers(0, 99), min_size=2, max_size=30).map(lambda rows: np.array(sorted(rows)))


@given(row_sets, st.integers(2, 6), st.integers(1, 9), st.integers(0, 99))
def test_no_image_is_scored_by_a_detector_that_was_fitted_on_it(
    rows: Rows, folds: int, cycle: int, seed: int
) -> None:
    spy = spy_on()
    held_out(spy, folds=folds, seed=seed).judge(rows, cycle=cycle)
    assert all(not judge.fitted & set(judge.scored) for judge in spy.made)


@given(row_sets, st.integers(2, 6))
def test_the_folds_score_every_image_once_and_learn_from_all_the_others(rows: Rows, folds: int) -> None:
    spy = spy_on()
    held_out(spy, folds=folds).judge(rows, cycle=1)
    everyone = set(rows.tolist())
    assert sorted(row for judge in spy.made for row in judge.scored) == sorted(everyone)
    assert all(judge.fitted == everyone - set(judge.scored) for judge in spy.made)


@given(row_sets, st.integers(2, 6))
def test_folds_are_even_and_no_more_than_the_images(rows: Rows, folds: int) -> None:
    spy = spy_on()
    held_out(spy, folds=folds).judge(rows, cycle=1)
    sizes = [len(judge.scored) for judge in spy.made]
    assert len(sizes) == min(folds, len(rows))
    assert max(sizes) - min(sizes) <= 1


def test_each_held_out_judge_is_new_has_its_own_name_and_the_asked_epochs() -> None:
    spy = spy_on()
    judge = held_out(spy, folds=3, epochs=7)
    judge.judge(np.arange(9), cycle=1)
    judge.judge(np.arange(9), cycle=2)
    assert len({made.name for made in spy.made}) == 6
    assert {made.epochs for made in spy.made} == {7}
    assert spy.fitted == set()


def test_folds_are_drawn_anew_in_every_cycle_and_again_from_the_seed() -> None:
    def folds(cycle: int, seed: int) -> list[list[int]]:
        spy = spy_on()
        held_out(spy, seed=seed).judge(np.arange(30), cycle=cycle)
        return [judge.scored for judge in spy.made]

    assert folds(1, 0) == folds(1, 0)
    assert folds(1, 0) != folds(2, 0)
    assert folds(1, 0) != folds(1, 1)


@given(row_sets, st.integers(2, 5), st.sampled_from([1, -1]))
def test_folds_of_different_scales_meet_at_their_medians_and_keep_their_order(
    rows: Rows, folds: int, sign: int
) -> None:
    scale = iter(range(1, 10))
    spy = spy_on(lambda scores: sign * next(scale) * scores)
    scores = held_out(spy, folds=folds).judge(rows, cycle=1)
    by_row = dict(zip(rows.tolist(), scores.tolist(), strict=True))
    parts = [[by_row[row] for row in judge.scored] for judge in spy.made]
    medians = [float(np.median(part)) for part in parts]
    assert medians == pytest.approx([medians[0]] * len(medians))
    for judge, part in zip(spy.made, parts, strict=True):
        assert np.argsort(part).tolist() == np.argsort(sign * TABLE[judge.scored]).tolist()


def test_scores_stand_in_the_order_of_the_rows() -> None:
    scores = held_out(spy_on(), folds=2).judge(np.array([7, 8, 99]), cycle=1)
    assert scores.shape == (3,)
    assert np.isfinite(scores).all()


def test_in_sample_asks_the_trained_detector_itself() -> None:
    spy = spy_on()
    spy.fit(np.arange(5), epochs=1)
    scores = InSample(spy).judge(np.array([4, 0]), cycle=3)
    assert scores.tolist() == [5.0, 1.0]
    assert spy.made == []


def test_a_judge_apart_is_trained_afresh_on_the_remaining_images_in_each_cycle() -> None:
    spy = spy_on()
    judge = Apart(spy.fresh, epochs=4)
    assert judge.judge(np.array([0, 1, 2]), cycle=1).tolist() == [1.0, 2.0, 3.0]
    assert judge.judge(np.array([0, 2]), cycle=2).tolist() == [1.0, 3.0]
    first, second = spy.made
    assert (first.fitted, second.fitted) == ({0, 1, 2}, {0, 2})
    assert (first.epochs, second.epochs) == (4, 4)
    assert first.name != second.name
