"""Which of several opinions counts, and whether only a judge heard apart says so."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from irp_kedro.core.judging import Opinions
from irp_kedro.core.threshold import false_discovery_threshold
from irp_kedro.core.weighing import ordering_of, weigh
from irp_kedro.parameters import RefinementParameters

spread_out = st.lists(st.floats(-3, 3), min_size=20, max_size=40, unique=True)
NORMAL = np.linspace(-1, 1, 99)
RULE = RefinementParameters(false_discovery_rate=0.1, tail_factor=1.0, alone_factor=2.0, apart_factor=3.0)


@given(spread_out)
def test_a_single_opinion_is_held_against_its_threshold_as_it_is(scores: list[float]) -> None:
    counted, median, limit, _ = weigh(np.array(scores), len(scores), RULE)
    assert counted.tolist() == scores
    assert median == np.median(scores)
    assert limit == false_discovery_threshold(np.array(scores), np.empty(0), rate=0.1, tail_factor=1.0)


@given(spread_out, st.randoms(use_true_random=False))
def test_of_two_opinions_an_image_is_above_the_limit_where_it_is_above_that_of_either(
    scores: list[float], shuffle: Any
) -> None:
    other = list(scores)
    shuffle.shuffle(other)
    other[0] += 30.0
    together, alone = np.array(scores), np.array(other)
    counted, _, limit, _ = weigh(Opinions(together, alone), len(scores), RULE)
    above_together = together > false_discovery_threshold(together, np.empty(0), rate=0.1, tail_factor=1.0)
    above_alone = alone > false_discovery_threshold(alone, np.empty(0), rate=0.1, tail_factor=2.0)
    assert limit == 1.0
    assert (counted > limit).tolist() == (above_together | above_alone).tolist()


def test_the_second_opinion_has_its_limit_further_out() -> None:
    scores = np.array([*np.linspace(-1, 1, 99), 8.0])
    nothing = np.linspace(-1, 1, 100)
    heard_together = weigh(Opinions(scores, nothing), 100, RULE).scores
    heard_alone = weigh(Opinions(nothing, scores), 100, RULE).scores
    assert heard_together[-1] > 1 > heard_alone[-1]
    assert heard_together[-1] == pytest.approx(2 * heard_alone[-1])


def test_scores_outside_the_reference_move_neither_its_median_nor_its_spread() -> None:
    reference = np.linspace(-1, 1, 20)
    for far in (0.0, 2.0):
        counted, median, *_ = weigh(np.array([*reference, far]), 20, RULE)
        assert median == pytest.approx(0.0)
        assert counted[-1] == far


def test_an_opinion_apart_has_its_limit_further_out_still() -> None:
    odd, nothing = np.array([*NORMAL, 8.0]), np.array([*NORMAL, 0.0])
    plain = weigh(Opinions(odd), 100, RULE).scores[-1]
    apart = weigh(Opinions(nothing, apart={"colour": odd}), 100, RULE).scores[-1]
    assert plain == pytest.approx(3 * apart)


def test_whom_only_a_judge_apart_finds_far_out_is_told_by_its_name() -> None:
    seen_together, seen_apart = np.array([*NORMAL, 0.0, 90.0, 30.0]), np.array([*NORMAL, 90.0, 0.0, 90.0])
    weighed = weigh(Opinions(seen_together, apart={"colour": seen_apart}), 102, RULE)
    assert np.flatnonzero(weighed.scores > weighed.limit).tolist() == [99, 100, 101]
    assert np.flatnonzero(weighed.apart["colour"]).tolist() == [99]


def test_of_two_judges_apart_the_one_that_finds_it_further_out_has_found_it() -> None:
    less, more = np.array([*NORMAL, 60.0]), np.array([*NORMAL, 90.0])
    weighed = weigh(Opinions(np.array([*NORMAL, 0.0]), apart={"less": less, "more": more}), 100, RULE)
    assert {name: int(found.sum()) for name, found in weighed.apart.items()} == {"less": 0, "more": 1}


def test_a_judge_apart_does_not_say_who_is_normal() -> None:
    together, alone, apart = np.arange(3.0), np.arange(3.0) + 1, np.arange(3.0) + 2
    assert ordering_of(Opinions(together, alone, {"colour": apart})) is alone
    assert ordering_of(Opinions(together, apart={"colour": apart})) is together
    assert ordering_of(apart) is apart


@given(spread_out, st.floats(4, 30))
def test_a_judge_apart_moves_no_limit_of_the_others(scores: list[float], odd: float) -> None:
    together = np.array(scores)
    apart = np.array([odd, *np.linspace(-1, 1, len(scores) - 1)])
    without = weigh(Opinions(together), len(scores), RULE)
    within = weigh(Opinions(together, apart={"colour": apart}), len(scores), RULE)
    assert ((within.scores > 1) == ((without.scores > 1) | within.apart["colour"])).all()
