import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from irp_kedro.core.removal import AllAbove, RemovalPolicy, WorstOnly, ranking

SCORES = np.array([1.0, 9.0, 2.0, 7.0, 8.0])

score_lists = st.lists(st.integers(0, 9), min_size=1, max_size=20)


def test_worst_only_takes_the_single_worst_above_the_threshold() -> None:
    assert WorstOnly().select(SCORES, 5.0, allowed=9).tolist() == [1]


def test_all_above_takes_everyone_above_the_threshold_worst_first() -> None:
    assert AllAbove().select(SCORES, 5.0, allowed=9).tolist() == [1, 4, 3]


def test_a_score_at_the_threshold_is_not_above_it() -> None:
    assert AllAbove().select(SCORES, 9.0, allowed=9).tolist() == []


@pytest.mark.parametrize(("cap", "leaving"), [(0.4, [1, 4]), (0.2, [1]), (0.01, [1]), (1.0, [1, 4, 3])])
def test_the_cap_is_a_share_of_the_images_judged_and_lets_one_leave(cap: float, leaving: list[int]) -> None:
    assert AllAbove(cap).select(SCORES, 5.0, allowed=9).tolist() == leaving


@pytest.mark.parametrize("policy", [WorstOnly(), AllAbove(), AllAbove(0.5)])
@given(score_lists, st.integers(0, 9), st.integers(0, 9))
def test_those_who_leave_are_the_worst_above_the_threshold_and_no_more_than_allowed(
    policy: RemovalPolicy, scores: list[int], threshold: int, allowed: int
) -> None:
    leaving = policy.select(np.array(scores, dtype=float), float(threshold), allowed=allowed).tolist()
    assert len(leaving) <= allowed
    assert len(set(leaving)) == len(leaving)
    worst = sorted((score for score in scores if score > threshold), reverse=True)
    assert [scores[position] for position in leaving] == worst[: len(leaving)]


def test_equal_scores_leave_in_the_order_in_which_they_stand() -> None:
    scores = np.array([3.0] + [5.0] * 100)
    assert AllAbove().select(scores, 4.0, allowed=60).tolist() == list(range(1, 61))


@given(
    st.lists(st.sampled_from("abcdef"), unique=True),
    st.dictionaries(st.sampled_from("uvwxyz"), st.floats(0, 9)),
)
def test_a_ranking_starts_with_the_removed_and_goes_on_by_falling_score(
    removed: list[str], remaining: dict[str, float]
) -> None:
    order = ranking(removed, remaining)
    assert order[: len(removed)] == removed
    rest = order[len(removed) :]
    assert set(rest) == set(remaining)
    assert [remaining[image] for image in rest] == sorted(remaining.values(), reverse=True)
