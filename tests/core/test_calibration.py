import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from irp_kedro.core.calibration import choose_factor, false_removals, with_factor
from irp_kedro.errors import ParameterError
from irp_kedro.parameters import RefinementParameters


def rates(**by_factor: float) -> pd.DataFrame:
    """Return a table of false-removal rates; ``f3`` stands for the factor 3."""
    factors = [float(name.removeprefix("f")) for name in by_factor]
    return pd.DataFrame({"factor": factors, "false_removal_rate": list(by_factor.values())})


@pytest.mark.parametrize(
    ("threshold", "name"),
    [
        ("median_factor", "threshold_factor"),
        ("mad", "mad_factor"),
        ("iqr", "iqr_factor"),
        ("false_discovery", "tail_factor"),
    ],
)
def test_the_factor_of_the_rules_own_threshold_is_replaced_and_no_other(threshold: str, name: str) -> None:
    rule = RefinementParameters(threshold=threshold)
    changed = with_factor(rule, 7.5)
    assert changed.model_dump() == {**rule.model_dump(), name: 7.5}


def test_the_rate_is_the_share_of_the_clean_set_that_left_mean_and_worst_over_seeds() -> None:
    removed = {(2.0, 0): 4, (2.0, 1): 8, (3.0, 0): 0, (3.0, 1): 2}
    table = false_removals(lambda factor, seed: removed[factor, seed], [2.0, 3.0], [0, 1], 40)
    assert table["factor"].tolist() == [2.0, 3.0]
    assert table["false_removal_rate"].tolist() == pytest.approx([0.15, 0.025])
    assert table["worst_seed"].tolist() == [0.2, 0.05]


def test_the_smallest_factor_within_the_target_is_chosen() -> None:
    assert choose_factor(rates(f2=0.1, f3=0.02, f4=0.0), target=0.02) == 3.0


def test_a_lucky_low_factor_is_not_chosen_below_one_that_fails() -> None:
    assert choose_factor(rates(f2=0.01, f3=0.10, f4=0.0), target=0.02) == 4.0


def test_no_factor_high_enough_is_refused_with_the_highest_and_its_rate() -> None:
    with pytest.raises(ParameterError, match=r"ends at 4, which still removes 30\.0 %.*higher factors"):
        choose_factor(rates(f4=0.3, f2=0.5), target=0.02)


@given(st.dictionaries(st.integers(2, 30), st.floats(0, 0.2), min_size=1), st.sampled_from([0.0, 0.05, 0.2]))
def test_the_chosen_factor_and_all_above_it_are_within_the_target(
    table: dict[int, float], target: float
) -> None:
    frame = pd.DataFrame({"factor": list(table), "false_removal_rate": list(table.values())})
    if table[max(table)] > target:
        with pytest.raises(ParameterError):
            choose_factor(frame, target=target)
    else:
        chosen = choose_factor(frame, target=target)
        assert all(rate <= target for factor, rate in table.items() if factor >= chosen)
        below = [factor for factor in table if factor < chosen]
        assert not below or table[max(below)] > target
