"""Who leaves because it resembles those that left."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from irp_kedro.core.resemblance import alike, may_be_asked

AMONG = np.array([-2.0, -1, -1, 0, 0, 1, 1, 2])  # likeness of those that left to each other; its mean is 0
DEVIATION = float(AMONG.std(ddof=1))
AT_THE_BEGINNING, AT_THE_LIMIT = 0.0, 1.0
FAR_LESS = np.full(10, -100.0)  # alike: normal images
likeness = st.lists(st.floats(-5, 5), min_size=1, max_size=10)


def found(others: list[float], way: float) -> list[int]:
    return alike([(AMONG, np.array(others), FAR_LESS)], np.full(len(others), way)).tolist()


@given(st.integers(0, 5000), st.integers(1, 100_000))
def test_what_leaves_a_clean_set_anyway_says_nothing_of_defects(n_left: int, n_judged: int) -> None:
    assert may_be_asked(n_left, n_judged) == (n_left >= 8 and n_left / n_judged > 0.01)


def test_at_the_beginning_of_doubt_one_deviation_is_near_enough_and_at_the_limit_two() -> None:
    others = [-0.99 * DEVIATION, -1.01 * DEVIATION, -1.99 * DEVIATION, -2.01 * DEVIATION]
    assert found(others, AT_THE_BEGINNING) == [0]
    assert found(others, AT_THE_LIMIT) == [0, 1, 2]
    assert found(others, 0.5) == [0, 1]


@given(likeness, st.floats(0, 1), st.floats(0, 1))
def test_who_is_nearer_the_limit_has_to_be_no_more_alike(others: list[float], one: float, other: float) -> None:
    assert set(found(others, min(one, other))) <= set(found(others, max(one, other)))


@given(likeness, st.floats(-3, 3), st.floats(0.1, 10))
def test_only_likeness_to_each_other_is_the_measure(others: list[float], shift: float, unit: float) -> None:
    # Away from the bound, where rounding decides.
    near = [value for value in others if abs(value + DEVIATION) > 1e-6]
    moved = alike([(AMONG * unit + shift, np.array(near) * unit + shift, FAR_LESS)], np.zeros(len(near)))
    assert moved.tolist() == found(near, AT_THE_BEGINNING)


@given(likeness)
def test_every_witness_has_to_say_so(others: list[float]) -> None:
    one, way = np.array(others), np.zeros(len(others))
    other = one[::-1]
    both = alike([(AMONG, one, FAR_LESS), (AMONG, other, FAR_LESS)], way)
    assert set(both) == set(found(one.tolist(), 0)) & set(found(other.tolist(), 0))


def test_those_that_left_may_have_so_little_in_common_that_normal_images_are_as_alike() -> None:
    normal = np.linspace(-1, 1, 11)
    in_doubt = np.array([-0.9, 0.5, 0.61, 0.9])
    assert alike([(AMONG, in_doubt, FAR_LESS)], np.ones(4)).tolist() == [0, 1, 2, 3]
    assert alike([(AMONG, in_doubt, normal)], np.ones(4)).tolist() == [2, 3]


def test_those_that_left_may_be_equally_alike() -> None:
    same = np.full(8, 0.5)
    assert alike([(same, np.array([0.4, 0.5, 0.6]), FAR_LESS)], np.zeros(3)).tolist() == [1, 2]
