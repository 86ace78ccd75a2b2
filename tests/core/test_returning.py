"""Refinement where images that left are judged again and may return."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Self

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from irp_kedro.core.detector import NOBODY, BlindSet, Rows, Scores
from irp_kedro.core.judging import Judge, Opinions
from irp_kedro.core.refinement import RefinementCycle, plan_for, refine
from irp_kedro.core.threshold import threshold
from irp_kedro.parameters import RefinementParameters

TOTAL_EPOCHS = 12
SIX = ("a", "b", "c", "d", "e", "f")


class Trainee:
    """Remembers what it was trained on, and for how long."""

    def __init__(self, images: BlindSet) -> None:
        self.images = images
        self.fits: list[tuple[set[str], int]] = []

    def fit(self, rows: Rows, *, epochs: int) -> list[float]:
        self.fits.append(({self.images.image_ids[row] for row in rows}, epochs))
        return [1.0] * epochs

    def score(self, rows: Rows) -> Scores:
        return rows.astype(float)

    def fresh(self, name: str) -> Self:
        return self


class Script:
    """Finds an image far out in the cycles that name it, and all others normal."""

    def __init__(self, images: BlindSet, far_out: Mapping[int, str]) -> None:
        self.images, self.far_out = images, far_out
        self.references: dict[int, set[str]] = {}

    def judge(self, rows: Rows, *, cycle: int, outside: Rows = NOBODY) -> Scores:
        names = [self.images.image_ids[row] for row in np.concatenate([rows, outside])]
        self.references[cycle] = set(names[: len(rows)])
        return np.array([9.0 if name in self.far_out.get(cycle, "") else 1.0 for name in names])


class Whim:
    """Gives every image another score in every cycle; some are far out."""

    def __init__(self, seed: int, n_images: int) -> None:
        self.seed, self.n_images = seed, n_images

    def judge(self, rows: Rows, *, cycle: int, outside: Rows = NOBODY) -> Scores:
        scores = np.random.default_rng([self.seed, cycle]).exponential(size=self.n_images) ** 2
        return 1 + scores[np.concatenate([rows, outside])]


class ThreeMinds:
    """Has three opinions of every image, all other ones in every cycle."""

    def __init__(self, whim: Whim) -> None:
        self.whim = whim

    def judge(self, rows: Rows, *, cycle: int, outside: Rows = NOBODY) -> Opinions:
        said = [self.whim.judge(rows, cycle=cycle + apart, outside=outside) for apart in (0, 100, 200)]
        return Opinions(said[0], said[1], {"colour": said[2]})


class NearestPlace:
    """Scores an image by the way to the nearest other image of the set, on a line."""

    def __init__(self, images: BlindSet, places: Mapping[str, float]) -> None:
        self.places = np.array([places[name] for name in images.image_ids])

    def judge(self, rows: Rows, *, cycle: int, outside: Rows = NOBODY) -> Scores:
        everyone = np.concatenate([rows, outside])
        return np.array([np.abs(self.places[rows[rows != row]] - self.places[row]).min() for row in everyone])


def rule(**changes: Any) -> RefinementParameters:
    """Return a loop in which all above twice the median leave, and may return; nothing else ends it early."""
    returning = {
        "policy": "all_above",
        "restore": True,
        "threshold": "median_factor",
        "threshold_factor": 2.0,
        "reference": 1.0,
        "doubt": 1.0,
        "max_removed_per_cycle": 1.0,
        "max_removed_fraction": 0.9,
        "pretrain_epochs": 0,
        "epochs_per_cycle": 0,
        "max_cycles": 4,
        "patience": 9,
    }
    return RefinementParameters(**{**returning, **changes})


def blind(names: Sequence[str] = SIX) -> BlindSet:
    return BlindSet.of_ids(names, names, seed=0)


def walk(judge: Judge, images: BlindSet, asked: RefinementParameters) -> tuple[list[RefinementCycle], Trainee]:
    trainee = Trainee(images)
    return list(refine(trainee, judge, images, plan_for("iterative_refinement", asked, TOTAL_EPOCHS))), trainee


def steps(cycles: Sequence[RefinementCycle], action: str) -> list[list[str]]:
    """Return who left or returned, cycle by cycle, without the one before anybody judged."""
    return [
        sorted(decision.image_id for decision in cycle.decisions if decision.action == action)
        for cycle in cycles[1:]
    ]


rules = st.builds(
    rule,
    policy=st.sampled_from(["worst_only", "all_above"]),
    restore=st.booleans(),
    threshold=st.sampled_from(["median_factor", "mad", "iqr", "false_discovery"]),
    mad_factor=st.sampled_from([1.0, 3.0]),
    iqr_factor=st.sampled_from([0.5, 1.5]),
    reference=st.sampled_from([0.5, 0.75, 1.0]),
    max_removed_per_cycle=st.sampled_from([0.1, 0.4, 1.0]),
    max_removed_fraction=st.sampled_from([0.0, 0.2, 0.5, 0.9]),
    pretrain_epochs=st.integers(0, 2),
    epochs_per_cycle=st.integers(0, 2),
    max_cycles=st.integers(1, 5),
    patience=st.integers(1, 3),
)
seeds, sizes = st.integers(0, 999), st.integers(4, 24)


def whims(seed: int, n_images: int) -> tuple[Whim, BlindSet]:
    return Whim(seed, n_images), blind([f"{number:02d}" for number in range(n_images)])


def test_an_image_returns_when_a_later_judge_finds_it_normal() -> None:
    images = blind()
    cycles, _ = walk(Script(images, {1: "ab", 2: "b"}), images, rule(max_cycles=2))
    assert steps(cycles, "removed") == [["a", "b"], []]
    assert steps(cycles, "restored") == [[], ["a"]]
    assert sorted(cycles[-1].kept) == ["a", "c", "d", "e", "f"]
    (decision,) = cycles[2].decisions
    assert (decision.cycle, decision.action, decision.image_id) == (2, "restored", "a")
    assert (decision.score, decision.median_score, decision.threshold) == (1.0, 1.0, 2.0)


def test_where_nobody_may_return_who_left_is_never_judged_again() -> None:
    images = blind()
    cycles, _ = walk(Script(images, {1: "a"}), images, rule(restore=False))
    assert steps(cycles, "restored") == [[]] * 4
    assert "a" in cycles[1].judged
    assert all("a" not in cycle.judged for cycle in cycles[2:])
    assert "a" not in cycles[-1].kept


def test_who_left_leaves_only_once_while_it_stays_far_out() -> None:
    images = blind()
    cycles, _ = walk(Script(images, dict.fromkeys(range(1, 5), "a")), images, rule())
    assert steps(cycles, "removed") == [["a"], [], [], []]
    assert all(set(cycle.judged) == set(SIX) for cycle in cycles[1:])
    assert [cycle.above for cycle in cycles[1:]] == [1, 0, 0, 0]


@given(seeds, sizes, rules)
def test_the_set_after_a_cycle_is_the_one_before_without_who_left_and_with_who_returned(
    seed: int, n_images: int, asked: RefinementParameters
) -> None:
    judge, images = whims(seed, n_images)
    cycles, _ = walk(judge, images, asked)
    assert cycles[0].kept == images.image_ids
    for before, after, left, returned in zip(
        cycles, cycles[1:], steps(cycles, "removed"), steps(cycles, "restored"), strict=False
    ):
        assert set(left) <= set(before.kept)
        assert not set(returned) & set(before.kept)
        assert set(after.kept) == set(before.kept) - set(left) | set(returned)
        assert set(after.judged) == set(images.image_ids if asked.restore else before.kept)
        assert [name for name in images.image_ids if name in after.kept] == list(after.kept)


@given(seeds, sizes, rules)
def test_images_above_the_threshold_leave_and_all_others_return(
    seed: int, n_images: int, asked: RefinementParameters
) -> None:
    judge, images = whims(seed, n_images)
    cycles, _ = walk(judge, images, asked)
    for before, cycle in pairwise(cycles):
        for decision in cycle.decisions:
            assert decision.score == cycle.judged[decision.image_id]
            assert (decision.score > cycle.threshold) == (decision.action == "removed")
        if asked.restore:
            normal = {name for name, score in cycle.judged.items() if score <= cycle.threshold}
            assert normal <= set(cycle.kept)
        above = [name for name in before.kept if cycle.judged[name] > cycle.threshold]
        assert cycle.above == len(above)


@given(seeds, sizes, rules)
def test_the_threshold_is_that_of_the_most_normal_part_of_the_set_under_the_last_judging(
    seed: int, n_images: int, asked: RefinementParameters
) -> None:
    judge, images = whims(seed, n_images)
    cycles, _ = walk(judge, images, asked)
    judged_for_the_first_time = 0 if asked.reference == 1 else 1
    for before, cycle in list(pairwise(cycles))[judged_for_the_first_time:]:
        most_normal = sorted(before.kept, key=lambda name: before.ordering.get(name, 0.0))
        size = max(2, math.ceil(asked.reference * n_images)) if asked.reference < 1 else n_images
        reference = set(most_normal[:size])
        inside = np.array([cycle.judged[name] for name in reference])
        outside = np.array([score for name, score in cycle.judged.items() if name not in reference])
        assert cycle.threshold == threshold(inside, asked, outside)
        assert cycle.median_score == np.median(inside)


@given(seeds, sizes, rules)
def test_no_more_than_the_largest_fraction_is_ever_out_of_the_set(
    seed: int, n_images: int, asked: RefinementParameters
) -> None:
    judge, images = whims(seed, n_images)
    cycles, _ = walk(judge, images, asked)
    assert all(n_images - len(cycle.kept) <= asked.max_removed_fraction * n_images for cycle in cycles)


def test_who_returns_makes_room_for_others_to_leave() -> None:
    images = blind()
    judge = Script(images, {1: "a", 2: "bc", 3: "bc"})
    cycles, _ = walk(judge, images, rule(max_removed_fraction=0.4, max_cycles=3))
    assert steps(cycles, "restored")[1] == ["a"]
    assert steps(cycles, "removed") == [["a"], ["b", "c"]]
    assert cycles[-1].stop == "max_removed_fraction (0.4) reached"


def test_a_judge_that_changes_its_mind_in_every_cycle_is_ended_by_the_number_of_cycles() -> None:
    images = blind()
    cycles, _ = walk(Script(images, {1: "a", 3: "a", 5: "a"}), images, rule(max_cycles=6, patience=1))
    assert steps(cycles, "removed") == [["a"], [], ["a"], [], ["a"], []]
    assert steps(cycles, "restored") == [[], ["a"], [], ["a"], [], ["a"]]
    assert cycles[-1].stop == "max_cycles (6) reached"


def test_a_cycle_in_which_nobody_leaves_or_returns_costs_patience() -> None:
    images = blind()
    cycles, _ = walk(Script(images, {1: "a", 2: "a"}), images, rule(max_cycles=9, patience=2))
    assert steps(cycles, "restored") == [[], [], ["a"], [], []]
    assert cycles[-1].stop == "no removal or return in 2 cycles (patience)"


@pytest.mark.parametrize(("reference", "found"), [(1.0, []), (0.75, ["defect-1", "defect-2"])])
@pytest.mark.parametrize("restore", [False, True])
def test_defects_that_resemble_each_other_are_found_from_the_most_normal_part(
    reference: float, found: list[str], *, restore: bool
) -> None:
    good = {f"good-{number}": float(number) for number in range(6)}  # one step apart
    places = {**good, "defect-1": 100.0, "defect-2": 101.5}  # one and a half
    images = blind(list(places))
    asked = rule(restore=restore, reference=reference, max_cycles=3)
    cycles, _ = walk(NearestPlace(images, places), images, asked)
    assert steps(cycles, "removed") == [found, [], []]
    assert steps(cycles, "restored") == [[], [], []]
    if found:
        assert [cycles[1].judged[name] for name in found] == [95.0, 96.5]


def test_the_reference_is_as_large_in_every_cycle_and_never_holds_who_left() -> None:
    images = blind()
    judge = Script(images, {0: "bd", 1: "d", 2: "cd", 3: "bc"})
    walk(judge, images, rule(reference=0.6, max_cycles=3))
    assert judge.references[0] == set(SIX)
    assert judge.references[1] == {"a", "c", "e", "f"}
    assert {name: len(reference) for name, reference in judge.references.items()} == {0: 6, 1: 4, 2: 4, 3: 4}
    assert "d" not in judge.references[2]
    assert judge.references[3] == {"a", "b", "e", "f"}


def test_the_reference_is_all_that_is_left_where_more_than_the_rest_has_left() -> None:
    images = blind()
    judge = Script(images, {1: "abc", 2: "abc"})
    walk(judge, images, rule(reference=0.75, max_cycles=2))
    assert judge.references[2] == {"d", "e", "f"}


def test_a_loop_without_epochs_trains_once_on_the_last_set_with_the_whole_budget() -> None:
    images = blind()
    cycles, trainee = walk(Script(images, {1: "ab", 2: "b", 3: "bc", 4: "bc"}), images, rule())
    assert trainee.fits == [({"a", "d", "e", "f"}, TOTAL_EPOCHS)]
    assert [cycle.epochs for cycle in cycles] == [0, 0, 0, 0, TOTAL_EPOCHS]
    assert [len(cycle.losses) for cycle in cycles] == [0, 0, 0, 0, TOTAL_EPOCHS]


@given(seeds, sizes, rules)
def test_the_detector_is_trained_on_the_set_after_each_cycle_with_epochs(
    seed: int, n_images: int, asked: RefinementParameters
) -> None:
    judge, images = whims(seed, n_images)
    cycles, trainee = walk(judge, images, asked)
    with_epochs = [(set(cycle.kept), len(cycle.losses)) for cycle in cycles if cycle.losses]
    assert trainee.fits == with_epochs
    assert sum(epochs for _, epochs in trainee.fits) == cycles[-1].epochs == TOTAL_EPOCHS


@given(seeds, sizes, rules, st.integers(0, 4))
def test_an_interrupted_loop_goes_on_to_the_same_cycles(
    seed: int, n_images: int, asked: RefinementParameters, done: int
) -> None:
    judge, images = whims(seed, n_images)
    whole, trainee = walk(judge, images, asked)
    past = whole[: min(done + 1, len(whole) - 1)]
    plan = plan_for("iterative_refinement", asked, TOTAL_EPOCHS)
    going_on = Trainee(images)
    assert [*past, *refine(going_on, judge, images, plan, past)] == whole
    assert going_on.fits == trainee.fits[sum(bool(cycle.losses) for cycle in past) :]


@given(seeds, st.integers(4, 24), st.sampled_from([0.5, 0.75]), st.integers(0, 4))
def test_an_interrupted_loop_of_several_opinions_goes_on_to_the_same_cycles(
    seed: int, n_images: int, reference: float, done: int
) -> None:
    asked = rule(
        threshold="false_discovery", tail_factor=0.3, alone_factor=1.5, apart_factor=2.0, reference=reference
    )
    _, images = whims(seed, n_images)
    judge = ThreeMinds(Whim(seed, n_images))
    whole, _ = walk(judge, images, asked)
    past = whole[: min(done + 1, len(whole) - 1)]
    plan = plan_for("iterative_refinement", asked, TOTAL_EPOCHS)
    assert [*past, *refine(Trainee(images), judge, images, plan, past)] == whole


@pytest.mark.parametrize("done", [0, 1, 2, 3, 4])
def test_an_interrupted_loop_remembers_its_patience(done: int) -> None:
    images = blind()
    judge, asked = Script(images, {1: "a"}), rule(max_cycles=9, patience=3)
    whole, _ = walk(judge, images, asked)
    assert [cycle.stop for cycle in whole[2:]] == ["", "", "", "no removal or return in 3 cycles (patience)"]
    plan = plan_for("iterative_refinement", asked, TOTAL_EPOCHS)
    past = whole[: done + 1]
    assert [*past, *refine(Trainee(images), judge, images, plan, past)] == whole
