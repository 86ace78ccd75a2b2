from collections.abc import Mapping, Sequence
from itertools import pairwise
from random import Random
from typing import Any, Self

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from irp_kedro.core.detector import NOBODY, BlindSet, Rows, Scores
from irp_kedro.core.judging import InSample
from irp_kedro.core.refinement import RefinementCycle, plan_for, refine
from irp_kedro.errors import ThresholdUndefinedError
from irp_kedro.parameters import STRATEGIES, RefinementParameters, Strategy

FIVE = {"a": 1.0, "b": 1.0, "c": 1.2, "d": 5.0, "e": 9.0}
TOTAL_EPOCHS = 40


class TableDetector:
    """Knows the score of every image by its digest, and remembers how it was trained."""

    def __init__(self, table: Mapping[str, float], images: BlindSet) -> None:
        self.images = images
        self.scores = np.array([table[digest] for digest in images.digests])
        self.fits: list[tuple[set[str], int]] = []

    @property
    def epochs(self) -> int:
        return sum(epochs for _, epochs in self.fits)

    def fit(self, rows: Rows, *, epochs: int) -> list[float]:
        self.fits.append(({self.images.digests[row] for row in rows}, epochs))
        return [float(epoch) for epoch in range(epochs, 0, -1)]

    def score(self, rows: Rows) -> Scores:
        return self.scores[rows]

    def fresh(self, name: str) -> Self:
        return self


class ScriptedJudge:
    """Gives the scores that its script has for each cycle; cycles beyond it are uneventful."""

    def __init__(self, script: Sequence[Mapping[str, float]], images: BlindSet) -> None:
        self.script = script
        self.images = images

    def judge(self, rows: Rows, *, cycle: int, outside: Rows = NOBODY) -> Scores:
        table = self.script[cycle - 1] if cycle <= len(self.script) else {}
        asked = np.concatenate([rows, outside])
        return np.array([table.get(self.images.digests[row], 1.0) for row in asked])


class NoJudge:
    """Fails the test when it is asked."""

    def judge(self, rows: Rows, *, cycle: int, outside: Rows = NOBODY) -> Scores:
        raise AssertionError(f"judged in cycle {cycle}")


def rule(**changes: Any) -> RefinementParameters:
    """Return Algorithm 1 with T = 2, one epoch a cycle and no limit but 5 cycles."""
    printed = {
        "policy": "worst_only",
        "restore": False,
        "reference": 1.0,
        "doubt": 1.0,
        "threshold": "median_factor",
        "threshold_factor": 2.0,
        "max_removed_per_cycle": 1.0,
        "max_removed_fraction": 1.0,
        "pretrain_epochs": 3,
        "epochs_per_cycle": 1,
        "max_cycles": 5,
        "patience": 5,
    }
    return RefinementParameters(**{**printed, **changes})


def blind(digests: Sequence[str], *, ids: Sequence[str] | None = None) -> BlindSet:
    return BlindSet.of_ids(ids or digests, digests, seed=0)


def walk(
    table: Mapping[str, float],
    asked: RefinementParameters,
    *,
    strategy: Strategy = "iterative_refinement",
    images: BlindSet | None = None,
) -> tuple[list[RefinementCycle], TableDetector]:
    """Return the cycles of a detector that judges itself, and the detector."""
    images = images or blind(list(table))
    detector = TableDetector(table, images)
    plan = plan_for(strategy, asked, TOTAL_EPOCHS)
    return list(refine(detector, InSample(detector), images, plan)), detector


def leavers(cycles: Sequence[RefinementCycle]) -> list[list[str]]:
    """Return the digests that left, cycle by cycle, without the one before anything left."""
    return [[decision.digest for decision in cycle.decisions] for cycle in cycles[1:]]


tables = st.lists(st.integers(1, 60), min_size=2, max_size=14).map(
    lambda scores: {f"{position:02d}": float(score) for position, score in enumerate(scores)}
)
rules = st.builds(
    rule,
    policy=st.sampled_from(["worst_only", "all_above"]),
    threshold=st.sampled_from(["median_factor", "mad", "iqr"]),
    threshold_factor=st.sampled_from([1.1, 1.5, 2.0]),
    mad_factor=st.sampled_from([0.5, 2.0]),
    iqr_factor=st.sampled_from([0.5, 1.5]),
    max_removed_per_cycle=st.sampled_from([0.1, 0.5, 1.0]),
    max_removed_fraction=st.sampled_from([0.0, 0.2, 1.0]),
    pretrain_epochs=st.integers(1, 4),
    epochs_per_cycle=st.integers(1, 3),
    max_cycles=st.integers(0, 6),
    patience=st.integers(1, 3),
)


def test_only_the_worst_image_leaves_in_each_cycle() -> None:
    cycles, _ = walk(FIVE, rule(max_cycles=2))
    assert leavers(cycles) == [["e"], ["d"]]


def test_all_above_lets_every_outlier_leave_at_once_worst_first() -> None:
    cycles, _ = walk(FIVE, rule(policy="all_above", max_cycles=1))
    assert leavers(cycles) == [["e", "d"]]


@pytest.mark.parametrize("policy", ["worst_only", "all_above"])
def test_one_shot_removal_removes_all_above_the_threshold_once_whatever_the_policy(policy: str) -> None:
    asked = rule(policy=policy, max_removed_per_cycle=0.2)
    cycles, _ = walk(FIVE, asked, strategy="one_shot_removal")
    assert leavers(cycles) == [["e", "d"]]


def test_vanilla_judges_nobody_and_keeps_everyone() -> None:
    images = blind(list(FIVE))
    detector = TableDetector(FIVE, images)
    (only,) = refine(detector, NoJudge(), images, plan_for("vanilla", rule(), TOTAL_EPOCHS))
    assert only.kept == images.image_ids
    assert (only.cycle, only.decisions, only.judged) == (0, (), {})
    assert only.threshold is None
    assert only.stop == "no cycle asked for"
    assert detector.fits == [(set(FIVE), TOTAL_EPOCHS)]


def test_refinement_without_cycles_is_vanilla() -> None:
    cycles, _ = walk(FIVE, rule(max_cycles=0))
    assert [cycle.stop for cycle in cycles] == ["no cycle asked for"]


@given(tables, st.sampled_from(["worst_only", "all_above"]), st.sampled_from(STRATEGIES))
def test_an_endless_threshold_factor_removes_nothing(
    table: dict[str, float], policy: str, strategy: Strategy
) -> None:
    cycles, _ = walk(table, rule(policy=policy, threshold_factor=1e9), strategy=strategy)
    assert cycles[-1].kept == cycles[0].kept
    assert all(cycle.decisions == () for cycle in cycles)


@given(tables, rules)
def test_every_strategy_spends_the_same_epochs_whatever_stops_it(
    table: dict[str, float], asked: RefinementParameters
) -> None:
    for strategy in STRATEGIES:
        cycles, detector = walk(table, asked, strategy=strategy)
        assert detector.epochs == TOTAL_EPOCHS
        assert cycles[-1].epochs == TOTAL_EPOCHS
        assert sum(len(cycle.losses) for cycle in cycles) == TOTAL_EPOCHS


@pytest.mark.parametrize(
    ("changes", "n_cycles", "reason"),
    [
        ({"max_cycles": 2}, 2, "max_cycles (2) reached"),
        ({"threshold_factor": 100.0, "patience": 3}, 3, "no removal in 3 cycles (patience)"),
        ({"max_removed_fraction": 0.2}, 1, "max_removed_fraction (0.2) reached"),
        ({"max_removed_fraction": 0.0}, 1, "max_removed_fraction (0) reached"),
        ({"max_removed_fraction": 0.4, "max_cycles": 2}, 2, "max_removed_fraction (0.4) reached"),
    ],
)
def test_the_last_cycle_says_why_the_loop_ended_and_spends_the_rest_of_the_budget(
    changes: dict[str, Any], n_cycles: int, reason: str
) -> None:
    cycles, detector = walk(FIVE, rule(**changes))
    assert [cycle.cycle for cycle in cycles] == list(range(n_cycles + 1))
    assert [cycle.stop for cycle in cycles] == [""] * n_cycles + [reason]
    assert [cycle.is_last for cycle in cycles] == [False] * n_cycles + [True]
    assert detector.epochs == TOTAL_EPOCHS


@given(tables, rules, st.sampled_from(STRATEGIES))
def test_the_last_cycle_alone_scores_the_images_that_stayed(
    table: dict[str, float], asked: RefinementParameters, strategy: Strategy
) -> None:
    cycles, _ = walk(table, asked, strategy=strategy)
    assert cycles[-1].final_scores == {kept: table[kept] for kept in cycles[-1].kept}
    assert all(cycle.final_scores == {} for cycle in cycles[:-1])


@given(tables, rules, st.sampled_from(STRATEGIES))
def test_every_cycle_accounts_for_every_image(
    table: dict[str, float], asked: RefinementParameters, strategy: Strategy
) -> None:
    cycles, _ = walk(table, asked, strategy=strategy)
    assert set(cycles[0].kept) == set(table)
    for before, after in pairwise(cycles):
        left = {decision.image_id for decision in after.decisions}
        assert set(after.judged) == set(before.kept)
        assert set(before.kept) == set(after.kept) | left
        assert not set(after.kept) & left
        assert after.kept


@given(tables, rules)
def test_only_images_above_the_threshold_leave_worst_first(
    table: dict[str, float], asked: RefinementParameters
) -> None:
    cycles, _ = walk(table, asked)
    for cycle in cycles[1:]:
        scores = [decision.score for decision in cycle.decisions]
        assert all(score > cycle.threshold for score in scores)
        assert scores == sorted(scores, reverse=True)
        assert len(scores) <= cycle.above


@given(tables, rules, st.randoms(use_true_random=False))
def test_the_order_of_images_does_not_matter(
    table: dict[str, float], asked: RefinementParameters, random: Random
) -> None:
    shuffled = list(table)
    random.shuffle(shuffled)
    one, _ = walk(table, asked)
    other, _ = walk(table, asked, images=blind(shuffled))
    assert leavers(one) == leavers(other)


@given(tables, rules, st.randoms(use_true_random=False))
def test_renaming_images_does_not_change_which_contents_leave(
    table: dict[str, float], asked: RefinementParameters, random: Random
) -> None:
    names = [f"name-{position}" for position in range(len(table))]
    random.shuffle(names)
    one, _ = walk(table, asked)
    other, _ = walk(table, asked, images=blind(list(table), ids=names))
    assert leavers(one) == leavers(other)


@given(tables, rules)
def test_no_cycle_removes_more_than_the_cap_of_the_images_it_judged(
    table: dict[str, float], asked: RefinementParameters
) -> None:
    cycles, _ = walk(table, asked)
    cap = asked.max_removed_per_cycle if asked.policy == "all_above" else 0.0
    assert all(len(cycle.decisions) <= max(1, cap * len(cycle.judged)) for cycle in cycles[1:])


@given(tables, rules, st.sampled_from(STRATEGIES))
def test_no_more_than_the_largest_fraction_is_ever_removed(
    table: dict[str, float], asked: RefinementParameters, strategy: Strategy
) -> None:
    cycles, _ = walk(table, asked, strategy=strategy)
    assert len(table) - len(cycles[-1].kept) <= asked.max_removed_fraction * len(table)


@given(tables, rules, st.sampled_from(STRATEGIES))
def test_the_detector_trains_on_what_is_left_after_each_cycle(
    table: dict[str, float], asked: RefinementParameters, strategy: Strategy
) -> None:
    cycles, detector = walk(table, asked, strategy=strategy)
    assert [rows for rows, _ in detector.fits] == [set(cycle.kept) for cycle in cycles]


def test_a_removal_gives_patience_back() -> None:
    images = blind(list(FIVE))
    judge = ScriptedJudge([{}, {"a": 9.0}, {}, {}], images)
    plan = plan_for("iterative_refinement", rule(patience=2, max_cycles=20), TOTAL_EPOCHS)
    cycles = list(refine(TableDetector(FIVE, images), judge, images, plan))
    assert leavers(cycles) == [[], ["a"], [], []]
    assert cycles[-1].stop == "no removal in 2 cycles (patience)"


def test_an_image_that_left_for_good_is_not_judged_again() -> None:
    images = blind(list(FIVE))
    judge = ScriptedJudge([{"a": 9.0}, {"a": 9.0, "b": 8.0}], images)
    plan = plan_for("iterative_refinement", rule(max_cycles=2), TOTAL_EPOCHS)
    cycles = list(refine(TableDetector(FIVE, images), judge, images, plan))
    assert leavers(cycles) == [["a"], ["b"]]
    assert "a" not in cycles[2].judged


def test_the_set_before_is_handed_over_before_anybody_judges() -> None:
    images = blind(list(FIVE))
    detector = TableDetector(FIVE, images)
    cycles = refine(detector, NoJudge(), images, plan_for("iterative_refinement", rule(), TOTAL_EPOCHS))
    before = next(cycles)
    assert (before.cycle, before.kept, before.epochs) == (0, images.image_ids, 3)
    with pytest.raises(AssertionError, match="judged in cycle 1"):
        next(cycles)


def test_a_decision_carries_score_median_and_threshold_of_its_cycle() -> None:
    cycles, _ = walk(FIVE, rule(max_cycles=1))
    (decision,) = cycles[1].decisions
    assert (decision.cycle, decision.action, decision.image_id, decision.digest) == (1, "removed", "e", "e")
    assert (decision.score, decision.median_score, decision.threshold) == (9.0, 1.2, 2.4)
    assert (cycles[1].median_score, cycles[1].threshold, cycles[1].above) == (1.2, 2.4, 2)
    assert cycles[1].judged == FIVE


def test_a_median_that_is_not_positive_stops_the_loop_with_the_remedy() -> None:
    with pytest.raises(ThresholdUndefinedError, match="latent_energy"):
        walk({"a": -3.0, "b": -2.0, "c": 4.0}, rule())


class CycleJudge:
    """Judges a little differently in each cycle, so that a cycle taken for another one shows."""

    def __init__(self, table: Mapping[str, float], images: BlindSet) -> None:
        self.scores = np.array([table[digest] for digest in images.digests])

    def judge(self, rows: Rows, *, cycle: int, outside: Rows = NOBODY) -> Scores:
        asked = np.concatenate([rows, outside])
        return self.scores[asked] + 0.01 * ((asked + cycle) % 3)


@given(
    scores=st.lists(st.floats(0.5, 9.0), min_size=4, max_size=9),
    strategy=st.sampled_from(["one_shot_removal", "iterative_refinement"]),
    patience=st.integers(1, 3),
    doubt=st.sampled_from([0.3, 1.0]),
    cut=st.integers(0, 5),
)
def test_a_loop_that_was_interrupted_goes_on_as_if_it_had_not_been(
    scores: list[float], strategy: Strategy, patience: int, doubt: float, cut: int
) -> None:
    table = {f"{number:02d}": score for number, score in enumerate(scores)}
    images = blind(list(table))
    plan = plan_for(strategy, rule(patience=patience, doubt=doubt, max_removed_fraction=0.5), TOTAL_EPOCHS)
    judge = CycleJudge(table, images)
    whole = list(refine(TableDetector(table, images), judge, images, plan))
    past = whole[: min(cut + 1, len(whole) - 1)]
    resumed = TableDetector(table, images)
    assert [*past, *refine(resumed, judge, images, plan, past)] == whole
    assert whole[-1].epochs == TOTAL_EPOCHS
    assert resumed.epochs == sum(len(cycle.losses) for cycle in whole[len(past) :])
    assert resumed.epochs == TOTAL_EPOCHS - past[-1].epochs or whole[-1].doubtful
