import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from irp_kedro.core.detector import Scores
from irp_kedro.core.threshold import iqr_threshold, mad_threshold, median_threshold, threshold
from irp_kedro.errors import ThresholdUndefinedError
from irp_kedro.parameters import RefinementParameters

positive = st.lists(st.integers(1, 1000), min_size=1, max_size=40).map(lambda s: np.array(s, dtype=float))
any_sign = st.lists(st.integers(-500, 500), min_size=1, max_size=40).map(lambda s: np.array(s, dtype=float))


def test_the_median_threshold_is_factor_times_median() -> None:
    assert median_threshold(np.array([1.0, 1.0, 1.2, 5.0, 9.0]), factor=2.0) == 2.4


@pytest.mark.parametrize("scores", [[-3.0, -1.0, 9.0], [0.0, 0.0, 5.0]])
def test_a_median_that_is_not_positive_is_refused_with_the_way_out(scores: list[float]) -> None:
    with pytest.raises(ThresholdUndefinedError, match=r"median of 3 .*(latent_energy).*mad"):
        median_threshold(np.array(scores), factor=2.0)


@given(positive, st.integers(1, 64))
def test_the_median_threshold_grows_with_the_scores(scores: Scores, scale: int) -> None:
    grown = median_threshold(scale * scores, factor=1.5)
    assert grown == pytest.approx(scale * median_threshold(scores, factor=1.5))


@given(any_sign, st.integers(1, 64), st.integers(-100, 100))
def test_robust_thresholds_follow_scale_and_shift_of_the_scores(scores: Scores, scale: int, shift: int) -> None:
    for rule in (mad_threshold, iqr_threshold):
        expected = scale * rule(scores, factor=2.0) + shift
        assert rule(scale * scores + shift, factor=2.0) == pytest.approx(expected)


@given(positive, st.sampled_from(["median_factor", "mad", "iqr"]))
def test_no_rule_calls_more_than_half_of_the_images_outliers(scores: Scores, name: str) -> None:
    rule = RefinementParameters(threshold=name, threshold_factor=1.01, mad_factor=0.01, iqr_factor=0.01)
    assert (scores > threshold(scores, rule)).sum() <= len(scores) / 2


@given(positive, st.sampled_from(["median_factor", "mad", "iqr"]))
def test_the_order_of_scores_changes_no_threshold(scores: Scores, name: str) -> None:
    rule = RefinementParameters(threshold=name)
    assert threshold(scores[::-1], rule) == threshold(scores, rule)


def test_the_rule_names_its_threshold_and_brings_its_own_factor() -> None:
    scores = np.array([1.0, 2.0, 3.0, 4.0, 100.0])
    factors = {"threshold_factor": 1.5, "mad_factor": 2.0, "iqr_factor": 1.5}
    by_name = {
        name: threshold(scores, RefinementParameters(threshold=name, **factors))
        for name in ("median_factor", "mad", "iqr")
    }
    assert by_name == pytest.approx({"median_factor": 4.5, "mad": 3 + 2 * 1.4826, "iqr": 7.0})


def test_the_median_deviation_estimates_the_spread_of_normal_scores() -> None:
    scores = np.random.default_rng(0).normal(10, 2, 20_000)
    assert mad_threshold(scores, factor=1.0) == pytest.approx(12, abs=0.1)
