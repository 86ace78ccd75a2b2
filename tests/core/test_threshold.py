import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from irp_kedro.core.detector import Scores
from irp_kedro.core.threshold import (
    false_discovery_threshold,
    iqr_threshold,
    location_and_spread,
    mad_threshold,
    median_threshold,
    threshold,
)
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


NONE_OUTSIDE = np.empty(0)


def gumbel(n_images: int) -> Scores:
    """Return evenly spaced quantiles of the standard Gumbel distribution: what no clean set exceeds much."""
    return -np.log(-np.log((np.arange(n_images) + 0.5) / n_images))


def discovered(
    scores: Scores, outside: Scores = NONE_OUTSIDE, *, rate: float = 0.2, tail_factor: float = 1.0
) -> Scores:
    return scores[scores > false_discovery_threshold(scores, outside, rate=rate, tail_factor=tail_factor)]


@pytest.mark.parametrize("n_images", [50, 200, 1000])
@pytest.mark.parametrize("tail_factor", [1.0, 1.25])
def test_in_a_clean_set_as_it_is_on_average_nothing_is_discovered(n_images: int, tail_factor: float) -> None:
    assert len(discovered(gumbel(n_images), tail_factor=tail_factor)) == 0


def test_in_clean_sets_something_is_discovered_about_as_often_as_the_rate_says() -> None:
    rng = np.random.default_rng(0)
    share = np.mean([len(discovered(rng.gumbel(size=200))) > 0 for _ in range(400)])
    assert 0.13 < share < 0.27


def test_a_heavier_tail_is_forgiven_by_its_factor() -> None:
    rng = np.random.default_rng(0)
    # The upper half of the scores is stretched, the spread hardly.
    clean = [np.where(scores > 1, 1.4 * scores - 0.4, scores) for scores in rng.gumbel(size=(400, 200))]
    found = [np.mean([len(discovered(s, tail_factor=factor)) > 0 for s in clean]) for factor in (1.0, 1.5)]
    assert found[0] > 0.4
    assert found[1] < 0.2


def test_of_a_fifth_far_out_most_are_discovered_and_few_good_ones_with_them() -> None:
    rng = np.random.default_rng(0)
    shares, false_shares = [], []
    for _ in range(100):
        good, far_out = rng.gumbel(size=160), 12 + rng.gumbel(size=40)
        found = discovered(np.concatenate([good, far_out]))
        shares.append(np.isin(far_out, found).mean())
        false_shares.append(np.isin(found, good).mean())
    assert np.mean(shares) > 0.95
    assert np.mean(false_shares) < 0.2


@given(st.integers(1, 60), st.integers(1, 60))
def test_the_more_images_stand_far_out_the_lower_the_threshold(few: int, more: int) -> None:
    def limit(n_far_out: int) -> float:
        return false_discovery_threshold(gumbel(100), np.full(n_far_out, 50.0), rate=0.2, tail_factor=1.0)

    if few < more:
        assert limit(few) > limit(more)


def test_images_outside_count_as_discoveries_and_bring_the_threshold_down_on_those_inside() -> None:
    scores = gumbel(100)
    assert discovered(scores).tolist() == []
    assert scores.max() in discovered(scores, np.full(10, 50.0))
    assert discovered(scores, np.full(10, 0.0)).tolist() == []


@given(
    st.lists(st.integers(-20, 200), min_size=3, max_size=40),
    st.lists(st.integers(-20, 200), max_size=10),
    st.sampled_from([0.05, 0.2, 0.4]),
)
def test_what_is_discovered_is_what_benjamini_and_hochberg_say(
    inside: list[int], outside: list[int], rate: float
) -> None:
    scores = np.array(inside, dtype=float)
    everyone = np.sort(np.array(inside + outside, dtype=float))[::-1]
    median, spread = location_and_spread(scores)
    # A standard Gumbel score has the median 0.36651 and the robust standard deviation 0.76705 x 1.4826.
    standard = (everyone - median) / spread * 0.76705 * 1.4826 + 0.36651
    tails = -np.expm1(-np.exp(np.minimum(-standard, 30)))
    n_found = max((k for k, tail in enumerate(tails, start=1) if tail < rate * k / len(everyone)), default=0)
    limit = false_discovery_threshold(scores, np.array(outside, dtype=float), rate=rate, tail_factor=1.0)
    assert (everyone > limit).sum() == n_found


@given(any_sign, any_sign, st.integers(1, 64), st.integers(-100, 100))
def test_the_false_discovery_threshold_follows_scale_and_shift(
    scores: Scores, outside: Scores, scale: int, shift: int
) -> None:
    plain = false_discovery_threshold(scores, outside, rate=0.2, tail_factor=1.5)
    moved = false_discovery_threshold(
        scale * scores + shift, scale * outside + shift, rate=0.2, tail_factor=1.5
    )
    assert moved == pytest.approx(scale * plain + shift, abs=1e-6)


@given(st.integers(1, 30), st.integers(-5, 5))
def test_where_all_scores_are_equal_nothing_is_discovered_and_one_that_differs_is(
    n_images: int, score: int
) -> None:
    equal = np.full(n_images, float(score))
    assert len(discovered(equal)) == 0
    assert len(discovered(equal, equal)) == 0
    assert discovered(np.append(np.full(n_images + 1, float(score)), score + 1.0)).tolist() == [score + 1.0]


def test_the_rule_brings_its_rate_and_tail_factor_and_hears_of_those_outside() -> None:
    scores, outside = np.append(gumbel(99), 5.5), np.full(10, 50.0)
    for rate, tail_factor in ((0.2, 1.0), (0.4, 1.0), (0.2, 1.5)):
        rule = RefinementParameters(
            threshold="false_discovery", false_discovery_rate=rate, tail_factor=tail_factor
        )
        for others in (NONE_OUTSIDE, outside):
            expected = false_discovery_threshold(scores, others, rate=rate, tail_factor=tail_factor)
            assert threshold(scores, rule, others) == expected
        assert (
            threshold(scores, rule) == threshold(scores, rule, NONE_OUTSIDE) > threshold(scores, rule, outside)
        )
