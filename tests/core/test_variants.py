"""Who stays because many suspects are alike as normal images are."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Self

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from tests.core.test_judgement import MANY, SOME_DEFECTS, VARIANT, SeeingCompany, set_with_a_variant
from tests.core.test_judgement import N_NORMAL as N_REFERENCE

from irp_kedro.core.detector import NOBODY, Rows, Scores
from irp_kedro.core.judging import Opinions
from irp_kedro.core.refinement import RefinementCycle, plan_for, refine
from irp_kedro.core.review import NO_REVIEW, Review
from irp_kedro.core.variants import find_variants
from irp_kedro.parameters import RefinementParameters

N_NORMAL = 60
NORMAL = np.arange(N_NORMAL)
EVENLY = np.arange(N_NORMAL) / N_NORMAL  # where normal images lie: one unit long


class Line:
    """Images lie on a line, and are as far from each other as they lie."""

    def __init__(self, places: Sequence[float], unit: float = 1.0) -> None:
        self.places = np.array([*EVENLY, *places], dtype=float) * unit
        self.asked: set[int] = set()

    def company(self, group: Rows, asked: Rows, nth: int) -> Scores:
        self.asked |= set(asked.tolist())
        distance = np.abs(self.places[asked][:, None] - self.places[group][None, :])
        distance[asked[:, None] == group[None, :]] = np.inf
        ordered = np.sort(distance, axis=1)
        return ordered[:, nth - 1] if nth <= len(group) else np.full(len(asked), np.inf)


def variants(*witnesses: Line, n_judged: int = 0, n_faults: int = 0, n_normal: int = N_NORMAL) -> list[int]:
    """Return which of the images after the normal ones form a variant, from 0; the last ones may be faults."""
    n_images = len(witnesses[0].places)
    suspects, faults = np.split(np.arange(N_NORMAL, n_images), [n_images - N_NORMAL - n_faults])
    normal = np.random.default_rng(0).permutation(NORMAL)[:n_normal]
    found = find_variants(witnesses, normal, suspects, n_judged=n_judged or n_images, faults=faults)
    return (found - N_NORMAL).tolist()


def crowd(n_images: int, place: float = 9.0, width: float = 0.1) -> list[float]:
    return np.linspace(place, place + width, n_images).tolist()


def scattered(n_images: int) -> list[float]:
    return [20.0 + 3 * number for number in range(n_images)]


def test_eight_that_are_as_alike_as_normal_images_are_a_variant_however_far_from_them() -> None:
    for place in (2.0, 9.0, 1000.0):
        assert variants(Line(crowd(8, place))) == list(range(8))


def test_seven_are_none() -> None:
    assert variants(Line(crowd(7))) == []
    assert variants(Line([*crowd(7), *scattered(9)])) == []


def test_a_small_variant_among_many_suspects_is_held_against_as_few_normal_images() -> None:
    # Of 45 normal images the seventh nearest is nearer than of a variant of twelve.
    kind = crowd(12, place=9.0, width=0.5)
    assert variants(Line([*kind, *scattered(33)])) == list(range(12))
    assert variants(Line([*crowd(12, place=9.0, width=2.0), *scattered(33)])) == []


def test_among_many_suspects_defects_that_find_seven_of_their_kind_are_no_part_of_a_variant() -> None:
    of_two_kinds = [*crowd(9, place=50.0), *crowd(9, place=80.0)]
    assert variants(Line([*crowd(30), *of_two_kinds])) == list(range(30))
    # Where a variant comes in several kinds, each a fifth of it, all of them stay.
    assert variants(Line([*crowd(30), *crowd(15, place=50.0)])) == list(range(45))
    # Of fewer than forty seven are a fifth anyway.
    assert variants(Line([*crowd(20), *of_two_kinds])) == list(range(38))


def test_those_that_are_as_near_to_normal_images_as_to_each_other_are_none() -> None:
    for place, found in ((0.1, []), (2.0, list(range(12)))):
        assert variants(Line(crowd(12, place, width=0.8))) == found


def test_who_is_nearer_to_normal_images_than_to_the_core_does_not_join_it() -> None:
    core = crowd(20, place=1.05, width=0.1)
    for as_far_from_the_core, joins in ((0.8, False), (1.4, True)):
        assert variants(Line([*core, as_far_from_the_core])) == list(range(20 + joins))


def test_defects_that_differ_from_each_other_are_none_and_none_of_them_joins_a_variant() -> None:
    assert variants(Line(scattered(12))) == []
    assert variants(Line([*scattered(12), *crowd(10)])) == list(range(12, 22))


def test_who_is_near_the_core_joins_it_and_who_is_farther_than_normal_images_does_not() -> None:
    near, far = 9.1 + 0.5, 9.1 + 5.0
    assert variants(Line([*crowd(10), near, far])) == list(range(11))


def test_of_a_large_set_a_hundredth_is_none() -> None:
    assert variants(Line(crowd(10)), n_judged=1000) == []
    assert variants(Line(crowd(11)), n_judged=1000) == list(range(11))


def test_every_witness_has_to_say_so() -> None:
    assert variants(Line(crowd(10)), Line(crowd(10))) == list(range(10))
    assert variants(Line(crowd(10)), Line(scattered(10))) == []
    assert variants(Line(crowd(12)), Line([*crowd(9), *scattered(3)])) == list(range(9))


def test_the_next_witness_is_asked_only_of_those_that_the_first_finds_in_company() -> None:
    first, second = Line([*crowd(10), *scattered(5)]), Line(crowd(15))
    assert variants(first, second) == list(range(10))
    assert first.asked >= set(range(N_NORMAL, N_NORMAL + 15))
    assert {row for row in second.asked if row >= N_NORMAL} == set(range(N_NORMAL, N_NORMAL + 10))
    none, untouched = Line(scattered(10)), Line(crowd(10))
    assert variants(none, untouched) == []
    assert untouched.asked == set()


def test_without_a_witness_there_is_none() -> None:
    assert not len(find_variants([], NORMAL[:40], NORMAL[40:], n_judged=N_NORMAL))


def test_what_a_person_called_a_fault_is_no_variant_and_neither_is_its_like() -> None:
    faulty, other = crowd(20), crowd(10, place=50.0)
    assert variants(Line([*faulty[:12], *other, *faulty[12:]])) == list(range(30))
    assert variants(Line([*faulty[:12], *other, *faulty[12:]]), n_faults=8) == list(range(12, 22))


def test_of_seven_faults_nothing_is_learnt_nor_of_eight_that_are_defects_of_all_kinds() -> None:
    assert variants(Line([*crowd(12), *crowd(7)]), n_faults=7) == list(range(12))
    assert variants(Line([*crowd(12), *scattered(8)]), n_faults=8) == list(range(12))


def test_with_fewer_normal_images_than_suspects_nothing_can_be_said() -> None:
    assert variants(Line(crowd(12)), n_normal=12) == list(range(12))
    assert variants(Line(crowd(12)), n_normal=11) == []


def test_normal_images_without_company_of_their_own_vouch_for_nobody() -> None:
    class Copies(Line):
        def company(self, group: Rows, asked: Rows, nth: int) -> Scores:
            # Three of the normal images are copies of one another.
            return np.where(asked < 3, np.inf, super().company(group, asked, nth))

    judge = Copies(crowd(40))
    assert variants(judge, n_normal=40) == []
    assert variants(Line(crowd(40)), n_normal=40) == list(range(40))


@given(st.lists(st.floats(2, 10), min_size=8, max_size=30), st.integers(-3, 3))
def test_a_variant_has_eight_images_or_more_and_the_unit_of_distances_does_not_matter(
    places: list[float], doublings: int
) -> None:
    found = variants(Line(places))
    assert set(found) <= set(range(len(places)))
    assert len(found) == 0 or len(found) >= 8
    assert variants(Line(places, 2.0**doublings)) == found  # exact in binary


N_MANY = len(MANY)


class Silent:
    """Is trained, and has nothing to say."""

    def fit(self, rows: Rows, *, epochs: int) -> list[float]:
        return [0.0] * epochs

    def score(self, rows: Rows) -> Scores:
        return np.zeros(len(rows))

    def fresh(self, name: str) -> Self:
        return self


class FindsThemLater(SeeingCompany):
    """Has no witness in the first cycle."""

    def witnesses(self, *, cycle: int) -> list[Self]:
        return [self] if cycle > 1 else []


def refined(judge: SeeingCompany, past: int = 0, review: Review = NO_REVIEW) -> list[RefinementCycle]:
    """Walk the loop of sixty images; go on after ``past`` of its cycles as after an interruption."""
    rule = RefinementParameters(
        false_discovery_rate=0.1,
        tail_factor=1.5,
        alone_factor=2.0,
        reference=N_REFERENCE / N_MANY,
        resemblance=False,
        max_cycles=3,
    )
    plan = plan_for("iterative_refinement", rule, 4, review)
    whole = list(refine(Silent(), judge, MANY, plan))
    return [*whole[:past], *refine(Silent(), judge, MANY, plan, whole[:past])] if past else whole


def named(rows: Rows) -> set[str]:
    return {MANY.image_ids[row] for row in rows.tolist()}


def test_in_the_loop_a_variant_stays_and_each_cycle_says_who_it_is() -> None:
    first, last = refined(set_with_a_variant())[1:]
    for cycle in (first, last):
        assert set(cycle.variants) == named(VARIANT)
        assert named(VARIANT) <= set(cycle.kept)
        assert not named(VARIANT) & set(cycle.doubtful)
    assert {decision.image_id for decision in first.decisions} == named(SOME_DEFECTS)


def test_a_variant_that_left_before_it_was_seen_returns() -> None:
    judge = set_with_a_variant()
    first, second, *_ = refined(FindsThemLater(judge.opinions[0], judge.likeness, VARIANT))[1:]
    assert named(VARIANT) <= {decision.image_id for decision in first.decisions}
    assert first.variants == ()
    assert {(decision.image_id, decision.action) for decision in second.decisions} == {
        (image, "restored") for image in named(VARIANT)
    }
    assert set(second.variants) == named(VARIANT)


class Learns(SeeingCompany):
    """Finds the variant normal once it has learnt from it."""

    def __init__(self, judge: SeeingCompany) -> None:
        super().__init__(judge.opinions[0], judge.likeness, VARIANT)
        self.learnt_from: list[set[int]] = []

    def judge(self, rows: Rows, *, cycle: int, outside: Rows = NOBODY) -> Opinions:
        self.learnt_from.append(set(rows.tolist()))
        opinions = super().judge(rows, cycle=cycle, outside=outside)
        taught = cycle > 1 and set(VARIANT.tolist()) <= set(rows.tolist())
        known = np.isin(np.concatenate([rows, outside]), VARIANT) & taught
        return replace(
            opinions,
            together=np.where(known, 0.0, opinions.together),
            alone=np.where(known, 0.0, opinions.alone),
        )


def test_the_judge_learns_from_a_variant_in_the_next_cycle() -> None:
    judge = Learns(set_with_a_variant())
    refined(judge)
    _, first, second = judge.learnt_from
    assert not set(VARIANT.tolist()) & first
    assert set(VARIANT.tolist()) <= second
    assert len(first) == len(second) == N_REFERENCE


def test_who_is_no_suspect_any_more_since_the_judge_has_learnt_from_the_variant_still_belongs_to_it() -> None:
    first, last = refined(Learns(set_with_a_variant()))[1:]
    assert set(first.variants) == set(last.variants) == named(VARIANT)
    assert {decision.image_id for decision in first.decisions} == named(SOME_DEFECTS)
    assert last.decisions == ()


def test_who_is_far_out_although_the_judge_has_learnt_from_its_like_has_to_be_found_again() -> None:
    class SeesThemOnce(SeeingCompany):
        def witnesses(self, *, cycle: int) -> list[Self]:
            return [self] if cycle == 1 else []

    judge = set_with_a_variant()
    first, second, *_ = refined(SeesThemOnce(judge.opinions[0], judge.likeness, VARIANT))[1:]
    assert set(first.variants) == named(VARIANT)
    assert second.variants == ()
    assert named(VARIANT) <= {decision.image_id for decision in second.decisions}


def test_an_interrupted_loop_finds_the_same_variants() -> None:
    judge = set_with_a_variant()
    later = FindsThemLater(judge.opinions[0], judge.likeness, VARIANT)
    for past in (1, 2):
        assert refined(later, past) == refined(later)
        assert refined(Learns(judge), past) == refined(Learns(judge))


def test_who_a_person_kept_is_not_named_a_variant_again() -> None:
    kept = named(VARIANT[:3])
    last = refined(set_with_a_variant(), review=Review(keep=frozenset(kept)))[-1]
    assert set(last.variants) == named(VARIANT) - kept
