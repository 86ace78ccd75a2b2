import weakref
from collections.abc import Callable, Sequence
from typing import Self

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from irp_kedro.core.detector import NOBODY, Rows, Scores
from irp_kedro.core.judging import Apart, Council, HeldOut, InSample, Member, Panel
from irp_kedro.core.threshold import location_and_spread

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


@given(row_sets, row_sets, st.integers(2, 6))
def test_images_outside_the_set_are_scored_by_every_held_out_judge_and_taught_to_none(
    rows: Rows, others: Rows, folds: int
) -> None:
    outside = np.setdiff1d(others, rows)
    spy = spy_on()
    scores = held_out(spy, folds=folds).judge(rows, cycle=1, outside=outside)
    assert scores.shape == (len(rows) + len(outside),)
    for judge in spy.made:
        assert set(outside.tolist()) <= set(judge.scored)
        assert not set(outside.tolist()) & judge.fitted


@given(row_sets, st.integers(2, 6), st.integers(0, 9))
def test_who_is_outside_changes_no_held_out_score_of_the_set(rows: Rows, folds: int, seed: int) -> None:
    judge = held_out(spy_on(), folds=folds, seed=seed)
    outside = np.setdiff1d(np.arange(100), rows)
    with_others = judge.judge(rows, cycle=1, outside=outside)
    np.testing.assert_array_equal(with_others[: len(rows)], judge.judge(rows, cycle=1))


@pytest.mark.parametrize(
    ("bias_of_fold", "expected"),
    [
        (lambda fold, scores: 10.0**fold * scores, 3.0),  # a ratio to the median
        (lambda fold, scores: scores - 10.0**fold, 2.0),  # a distance from the median: some are negative
    ],
)
def test_an_image_outside_is_put_on_the_scale_of_the_set_in_each_fold(
    bias_of_fold: Callable[[int, Scores], Scores], expected: float
) -> None:
    fold = iter(range(9))
    # Everybody of the set scores 1 and the one outside scores 3, before the folds' own scales.
    spy = spy_on(lambda scores: bias_of_fold(next(fold), np.where(scores > 50, 3.0, 1.0)))
    scores = held_out(spy, folds=3).judge(np.arange(9), cycle=1, outside=np.array([99]))
    assert len(set(scores[:9].round(9))) == 1
    compared = scores[9] / scores[0] if expected == 3.0 else scores[9] - scores[0]
    assert compared == pytest.approx(expected)


@pytest.mark.parametrize("of_the_set", [10.0, -10.0])  # scores of one sign are scaled, others are shifted
def test_an_image_outside_gets_the_mean_of_what_the_folds_say(of_the_set: float) -> None:
    said = iter([20.0, 40.0])
    spy = spy_on(lambda scores: np.where(scores > 50, next(said), of_the_set))
    scores = held_out(spy, folds=2).judge(np.arange(8), cycle=1, outside=np.array([99, 98]))
    assert scores.tolist() == [of_the_set] * 8 + [30.0, 30.0]


def test_in_sample_asks_the_trained_detector_about_images_outside_too() -> None:
    spy = spy_on()
    spy.fit(np.arange(5), epochs=1)
    scores = InSample(spy).judge(np.array([4, 0]), cycle=3, outside=np.array([9, 7]))
    assert scores.tolist() == [5.0, 1.0, 10.0, 8.0]


def test_a_judge_apart_scores_images_outside_after_the_set_and_never_learns_from_them() -> None:
    spy = spy_on()
    scores = Apart(spy.fresh, epochs=4).judge(np.array([4, 0]), cycle=1, outside=np.array([9, 7]))
    assert scores.tolist() == [5.0, 1.0, 10.0, 8.0]
    assert spy.made[0].fitted == {0, 4}


class Says:
    """Scores image 0, 1, ... as listed."""

    def __init__(self, scores: Sequence[float]) -> None:
        self.scores = np.array(scores, dtype=float)

    def judge(self, rows: Rows, *, cycle: int, outside: Rows = NOBODY) -> Scores:
        return self.scores[np.concatenate([rows, outside])]


TEN = np.arange(10)
opinions = st.permutations(range(1, 11))
either = st.booleans()


@given(opinions, opinions, st.integers(0, 9), either)
@example(  # a mean would take the other's word
    one=[*range(1, 11)], other=[*range(2, 11), 1], row=9, by_logarithm=False
)
def test_an_image_that_one_judge_finds_far_out_tops_the_panel_whatever_the_other_says(
    one: list[int], other: list[int], row: int, by_logarithm: bool
) -> None:
    above_all = 60 if by_logarithm else 16
    far_out = [above_all if position == row else score for position, score in enumerate(one)]
    scores = Panel([(Says(other), by_logarithm), (Says(far_out), by_logarithm)]).judge(TEN, cycle=1)
    assert scores.argmax() == row


@given(opinions, either, st.integers(1, 9))
def test_a_judge_that_sees_nothing_changes_no_ranking(
    scores: list[int], by_logarithm: bool, constant: int
) -> None:
    panel = Panel([(Says(scores), False), (Says([constant] * 10), by_logarithm)])
    assert np.argsort(panel.judge(TEN, cycle=1)).tolist() == np.argsort(scores).tolist()


@given(opinions, either)
def test_a_panel_of_one_only_standardises(opinion: list[int], by_logarithm: bool) -> None:
    scores = Panel([(Says(opinion), by_logarithm)]).judge(TEN, cycle=1)
    plain = np.log(opinion) if by_logarithm else np.array(opinion)
    np.testing.assert_allclose(location_and_spread(scores), (0, 1), atol=1e-12)
    assert np.corrcoef(scores, plain)[0, 1] == pytest.approx(1)


@given(opinions, opinions, either)
def test_judges_of_one_mind_are_one_judge_and_their_order_does_not_matter(
    one: list[int], other: list[int], by_logarithm: bool
) -> None:
    first, second = (Says(one), by_logarithm), (Says(other), False)
    twice, alone = Panel([first, first]).judge(TEN, cycle=1), Panel([first]).judge(TEN, cycle=1)
    np.testing.assert_allclose(twice, alone, atol=1e-12)
    there, back = Panel([first, second]).judge(TEN, cycle=1), Panel([second, first]).judge(TEN, cycle=1)
    np.testing.assert_allclose(there, back, atol=1e-12)


@given(opinions, opinions, either, st.sampled_from([0.01, 3, 500]))
def test_the_unit_of_a_judge_does_not_matter(
    one: list[int], other: list[int], by_logarithm: bool, unit: float
) -> None:
    plain = Panel([(Says(one), by_logarithm), (Says(other), True)]).judge(TEN, cycle=1)
    scaled = Panel([(Says(unit * np.array(one)), by_logarithm), (Says(other), True)]).judge(TEN, cycle=1)
    np.testing.assert_allclose(scaled, plain, atol=1e-9)


@given(opinions, st.sampled_from([0.5, 2.0, 3.0]))
def test_a_power_of_a_judge_matters_unless_it_is_compared_by_its_logarithm(
    one: list[int], power: float
) -> None:
    def panel(exponent: float, *, by_logarithm: bool) -> Scores:
        return Panel([(Says(np.array(one) ** exponent), by_logarithm)]).judge(TEN, cycle=1)

    np.testing.assert_allclose(panel(power, by_logarithm=True), panel(1.0, by_logarithm=True), atol=1e-9)
    assert np.abs(panel(power, by_logarithm=False) - panel(1.0, by_logarithm=False)).max() > 0.1


def test_a_score_of_zero_has_a_place_by_logarithm_too() -> None:
    scores = Panel([(Says([0.0, *range(1, 10)]), True)]).judge(TEN, cycle=1)
    assert np.isfinite(scores).all()
    assert scores.argmin() == 0


def test_the_panel_standardises_by_the_set_alone_and_puts_those_outside_behind_it() -> None:
    panel = Panel([(Says([1, 2, 3, 4, 5, 100, 50]), False)])
    scores = panel.judge(np.arange(5), cycle=1, outside=np.array([5, 6]))
    assert scores == pytest.approx(np.array([-2, -1, 0, 1, 2, 97, 47]) / 1.4826)


def council(*told: tuple[Sequence[float], bool]) -> Council:
    """Return a council of judges that say the scores listed, each with whether it may speak alone."""
    return Council([Member(Says(scores), by_logarithm=False, alone=alone) for scores, alone in told])


@given(opinions, opinions)
def test_who_may_speak_alone_says_what_a_panel_of_them_says(one: list[int], other: list[int]) -> None:
    alone = council((one, True), (other, False)).judge(TEN, cycle=1).alone
    np.testing.assert_allclose(alone, Panel([(Says(one), False)]).judge(TEN, cycle=1), atol=1e-12)


def test_where_nobody_may_speak_alone_there_is_one_opinion() -> None:
    opinions = council((range(1, 11), False)).judge(TEN, cycle=1)
    assert (len(opinions.together), opinions.alone) == (10, None)


def test_what_both_find_a_little_unusual_stands_out_together_and_not_alone() -> None:
    first, second = [1, 2, 3, 4, 5, 6, 7, 8, 20, 14], [1, 3, 2, 5, 4, 7, 6, 9, 1, 14]
    opinions = council((first, True), (second, True)).judge(TEN, cycle=1)
    assert opinions.together.argmax() == 9
    assert opinions.alone is not None
    assert opinions.alone.argmax() == 8


@given(opinions, opinions, st.sampled_from([0.5, 2.0, 3.0]), st.sampled_from([0.01, 7.0]))
def test_together_neither_the_unit_nor_a_power_of_a_positive_score_matters(
    one: list[int], other: list[int], power: float, unit: float
) -> None:
    plain = council((one, True), (other, True)).judge(TEN, cycle=1)
    bent = council((unit * np.array(one, dtype=float) ** power, True), (other, True)).judge(TEN, cycle=1)
    np.testing.assert_allclose(bent.together, plain.together, atol=1e-9)


@pytest.mark.parametrize("least", [0.0, -3.0])
def test_an_excess_of_nothing_or_less_has_its_place_at_the_bottom_of_a_council(least: float) -> None:
    together = council(([least, *range(1, 10)], True)).judge(TEN, cycle=1).together
    assert np.isfinite(together).all()
    assert together.argmin() == 0


def test_scores_without_a_positive_median_are_compared_as_they_are() -> None:
    opinions = council((range(-9, 1), True)).judge(TEN, cycle=1)
    np.testing.assert_allclose(opinions.together, opinions.alone)


def test_a_council_standardises_by_the_set_alone_and_puts_those_outside_behind_it() -> None:
    heard = council(([1, 2, 4, 8, 16, 64, 2], True))
    together = heard.judge(np.arange(5), cycle=1, outside=np.array([5, 6])).together
    assert together == pytest.approx(np.array([-2, -1, 0, 1, 2, 4, -1]) / 1.4826)


@given(opinions, opinions, opinions)
def test_who_is_heard_apart_has_no_part_in_what_the_others_say(
    one: list[int], other: list[int], apart: list[int]
) -> None:
    judges = [Member(Says(said), by_logarithm=False, alone=True) for said in (one, other)]
    colour = Member(Says(apart), by_logarithm=False, alone=True, apart="colour")
    without, within = (Council(members).judge(TEN, cycle=1) for members in (judges, [colour, *judges]))
    np.testing.assert_array_equal(within.together, without.together)
    np.testing.assert_array_equal(within.alone, without.alone)
    assert not without.apart
    own = Panel([(Says(apart), False)]).judge(TEN, cycle=1)
    np.testing.assert_allclose(within.apart["colour"], own, atol=1e-12)


class TellsAlike(SpyDetector):
    """Also says how alike images are, and how far from a group: by their number."""

    def resemblance(self, left: Rows, others: Rows) -> list[tuple[Scores, Scores]]:
        return [(left.astype(float), others.astype(float))]

    def company(self, group: Rows, asked: Rows, nth: int) -> Scores:
        return asked.astype(float) + len(group) * nth


def test_witnesses_are_asked_once_they_learnt_from_the_reference_and_other_judges_not_at_all() -> None:
    witness, silent = TellsAlike("template", [], lambda scores: scores), spy_on()
    judges = [Apart(silent.fresh, epochs=3), Apart(witness.fresh, epochs=3), held_out(silent)]
    council = Council([Member(judge, by_logarithm=False, alone=True) for judge in [*judges, judges[1]]])
    said = council.resemblance(np.array([0, 1]), np.array([2, 3]), np.array([4]), cycle=5)
    assert [(left.tolist(), others.tolist()) for left, others in said] == 2 * [([2.0, 3.0], [4.0])]
    assert [(asked.name, asked.fitted, asked.epochs) for asked in witness.made] == 2 * [("judge/5", {0, 1}, 3)]
    assert [asked.fitted for asked in silent.made] == [set()]


def test_a_witness_that_judged_against_the_same_reference_does_not_learn_again() -> None:
    witness = TellsAlike("template", [], lambda scores: scores)
    judge, asked = Apart(witness.fresh, epochs=3), (np.array([2, 3]), np.array([4]))
    judge.judge(np.array([0, 1]), cycle=5)
    judge.resemblance(np.array([0, 1]), *asked, cycle=5)
    assert [spy.fitted for spy in witness.made] == [{0, 1}]
    judge.resemblance(np.array([0, 2]), *asked, cycle=5)
    judge.resemblance(np.array([0, 1]), *asked, cycle=6)
    assert [(spy.name, spy.fitted) for spy in witness.made[1:]] == [("judge/5", {0, 2}), ("judge/6", {0, 1})]


def test_a_judge_that_is_no_witness_is_not_kept() -> None:
    silent = spy_on()
    judge = Apart(silent.fresh, epochs=3)
    judge.judge(np.array([0, 1]), cycle=5)
    kept = [weakref.ref(spy) for spy in silent.made]
    silent.made.clear()
    assert [spy() for spy in kept] == [None]


def test_witnesses_compare_without_having_learnt() -> None:
    witness, silent = TellsAlike("template", [], lambda scores: scores), spy_on()
    judges = [Apart(silent.fresh, epochs=3), Apart(witness.fresh, epochs=3), held_out(silent)]
    council = Council([Member(judge, by_logarithm=False, alone=True) for judge in [*judges, judges[1]]])
    found = council.witnesses(cycle=5)
    assert [one.company(np.array([0, 1]), np.array([2, 3]), 10).tolist() for one in found] == 2 * [[22.0, 23.0]]
    assert [(asked.name, asked.fitted) for asked in witness.made] == 2 * [("judge/5", set())]


def test_who_is_heard_apart_is_no_witness_of_likeness_but_one_of_company() -> None:
    witness = TellsAlike("template", [], lambda scores: scores)
    council = Council([Member(Apart(witness.fresh, epochs=3), by_logarithm=False, alone=False, apart="colour")])
    assert council.resemblance(np.array([0, 1]), np.array([2]), np.array([4]), cycle=5) == []
    assert len(council.witnesses(cycle=5)) == 1
