"""Images in doubt: they stay in the set, and are trained on seldom (decision 0043)."""

from collections.abc import Mapping, Sequence
from typing import Self

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.test_refinement import CycleJudge, TableDetector, blind

from irp_kedro.core.detector import Rows, Scores
from irp_kedro.core.doubt import SELDOM, share_of_epochs, train
from irp_kedro.core.refinement import RefinementCycle, plan_for, refine
from irp_kedro.core.review import Review
from irp_kedro.parameters import RefinementParameters, Strategy

EPOCHS = 4
TABLE = {"a": 1.0, "b": 1.1, "c": 0.9, "d": 1.0, "e": 1.4, "f": 9.0}
tables = st.lists(st.floats(0.5, 9.0), min_size=4, max_size=12).map(
    lambda scores: {f"{position:02d}": score for position, score in enumerate(scores)}
)
strategies = st.sampled_from(["one_shot_removal", "iterative_refinement"])


def walk(
    table: Mapping[str, float],
    doubt: float,
    *,
    strategy: Strategy = "iterative_refinement",
    review: Review | None = None,
    restore: bool = True,
) -> tuple[list[RefinementCycle], TableDetector]:
    images = blind(list(table))
    detector = TableDetector(table, images)
    rule = RefinementParameters(
        threshold="median_factor",
        threshold_factor=2.0,
        restore=restore,
        reference=1.0,
        doubt=doubt,
        epochs_per_cycle=1,
        max_cycles=3,
        judge=("gaussian",),
    )
    plan = plan_for(strategy, rule, EPOCHS, review or Review())
    return list(refine(detector, CycleJudge(table, images), images, plan)), detector


def test_an_image_in_doubt_stays_in_the_set_and_is_trained_on_seldom() -> None:
    cycles, detector = walk(TABLE, 0.3)  # beyond 1.3 of a median of 1, and above 2
    last = cycles[-1]
    assert set(last.kept) == {"a", "b", "c", "d", "e"}
    assert last.doubtful == ("e",)
    assert last.doubtful_share == pytest.approx(0.1 * 0.06)  # one of six has left
    assert all(rows >= {"a", "b", "c", "d"} for rows, _ in detector.fits[1:])
    assert set(last.final_scores) == set(last.kept)


@given(tables, strategies, st.sampled_from([0.1, 0.3, 0.7]), st.booleans())
def test_every_cycle_trains_on_what_stayed_and_not_always_on_what_is_in_doubt(
    table: dict[str, float], strategy: Strategy, doubt: float, restore: bool
) -> None:
    cycles, detector = walk(table, doubt, strategy=strategy, restore=restore)
    fits = iter(detector.fits)
    for cycle in cycles:
        assert set(cycle.doubtful) <= set(cycle.kept)
        left = len(cycle.losses)
        while left:
            rows, epochs = next(fits)
            left -= epochs
            assert set(cycle.kept) - set(cycle.doubtful) <= rows <= set(cycle.kept)
    assert next(fits, None) is None
    assert cycles[-1].epochs == EPOCHS


class Remembers:
    """Keeps the rows of every epoch."""

    def __init__(self, *, has_epochs: bool = True) -> None:
        self.has_epochs = has_epochs
        self.seen: list[set[int]] = []

    def fit(self, rows: Rows, *, epochs: int) -> list[float]:
        self.seen += [set(rows.tolist())] * epochs
        return [0.0] * epochs if self.has_epochs else []

    def score(self, rows: Rows) -> Scores:
        return np.zeros(len(rows))

    def fresh(self, name: str) -> Self:
        return self


def trained(n_doubtful: int, share: float, *, epochs: int = 40, has_epochs: bool = True) -> list[set[int]]:
    detector = Remembers(has_epochs=has_epochs)
    everyone, rng = np.arange(100), np.random.default_rng(0)
    train(detector, everyone, everyone[:n_doubtful], share=share, epochs=epochs, rng=rng)
    return detector.seen


@given(st.integers(1, 60), st.sampled_from([0.0, 0.01, 0.1, 0.5]), st.integers(1, 40))
def test_as_many_images_pass_as_without_doubt(n_doubtful: int, share: float, epochs: int) -> None:
    seen = trained(n_doubtful, share, epochs=epochs)
    passed = sum(len(rows) for rows in seen)
    drawn = 6 * np.sqrt(n_doubtful * share * (1 - share) * len(seen))  # six deviations of the draws
    # The nearest whole number of epochs, the first of them without anything in doubt.
    assert abs(passed - 100 * epochs) <= 50 + share * n_doubtful + drawn


def test_each_image_in_doubt_takes_part_in_its_share_of_the_epochs_and_the_others_in_all() -> None:
    seen = trained(30, 0.1)
    assert len(seen) > 40
    assert all(rows >= set(range(30, 100)) for rows in seen)
    taken = sum(len(rows & set(range(30))) for rows in seen) / (30 * len(seen))
    assert 0.05 < taken < 0.15
    assert len({frozenset(rows) for rows in seen}) > 10  # drawn anew


def test_a_detector_that_takes_a_schedule_gets_that_of_one_that_does_not_in_one_call() -> None:
    class AtOnce(Remembers):
        def fit_each(self, schedule: Sequence[Rows]) -> list[float]:
            return [loss for rows in schedule for loss in self.fit(rows, epochs=1)]

    detector, everyone = AtOnce(), np.arange(100)
    losses = train(detector, everyone, everyone[:30], share=0.1, epochs=40, rng=np.random.default_rng(0))
    assert detector.seen == trained(30, 0.1)
    assert len(losses) == len(detector.seen)


def test_the_first_epoch_sees_nothing_in_doubt() -> None:
    assert trained(30, 0.5)[0] == set(range(30, 100))


def test_a_detector_without_epochs_is_fitted_once_on_those_not_in_doubt() -> None:
    assert trained(30, 0.5, has_epochs=False) == [set(range(30, 100))]


def test_without_doubt_training_is_what_it_was() -> None:
    assert trained(0, 0.1, epochs=3) == [set(range(100))] * 3
    assert trained(30, 0.1, epochs=0) == []


@given(st.integers(1, 2000), st.integers(0, 800))
def test_the_more_has_left_the_less_doubt_is_trained_on(n_images: int, n_removed: int) -> None:
    share = share_of_epochs(n_images, n_removed)
    assert share_of_epochs(n_images, n_removed + 1) <= share <= share_of_epochs(n_images, 0) == SELDOM


@given(tables, strategies)
def test_doubt_changes_nobodys_removal(table: dict[str, float], strategy: Strategy) -> None:
    doubted, _ = walk(table, 0.1, strategy=strategy)
    trusted, _ = walk(table, 1.0, strategy=strategy)
    assert [cycle.decisions for cycle in doubted] == [cycle.decisions for cycle in trusted]
    assert [cycle.kept for cycle in doubted] == [cycle.kept for cycle in trusted]


@given(tables)
def test_more_of_the_way_leaves_fewer_in_doubt_and_all_of_it_nobody(table: dict[str, float]) -> None:
    in_doubt = [set(walk(table, doubt)[0][-1].doubtful) for doubt in (0.2, 0.6, 1.0)]
    assert in_doubt[0] >= in_doubt[1] >= in_doubt[2] == set()


def test_what_a_person_keeps_is_trained_on() -> None:
    review = Review(keep=frozenset({"e"}))
    cycles, detector = walk(TABLE, 0.3, review=review)
    assert cycles[-1].doubtful == ()
    assert all("e" in rows for rows, _ in detector.fits)


def test_vanilla_doubts_nobody() -> None:
    cycles, detector = walk(TABLE, 0.3, strategy="vanilla")
    assert cycles[-1].doubtful == ()
    assert detector.fits == [(set(TABLE), EPOCHS)]


@pytest.mark.parametrize("doubt", [0.0, -0.1, 1.1])
def test_doubt_is_a_share_of_the_way(doubt: float) -> None:
    with pytest.raises(ValueError, match="doubt"):
        RefinementParameters(doubt=doubt)


def test_at_least_half_of_the_reference_is_never_in_doubt() -> None:
    table = {f"{n:02d}": value for n, value in enumerate(np.random.default_rng(0).lognormal(0, 1, 40))}
    cycles, _ = walk(table, 0.01)
    assert len(cycles[-1].doubtful) <= len(table) / 2
