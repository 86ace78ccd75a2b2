"""Choose a threshold factor by what it removes from sets known to be clean (decision 0004).

The factor is never chosen on test labels: on a set in which nothing is wrong every removal is false, so the
false-removal rate can be read off without any.
"""

from collections.abc import Callable, Sequence

import pandas as pd

from irp_kedro.errors import ParameterError
from irp_kedro.parameters import RefinementParameters

FACTOR_OF = {
    "median_factor": "threshold_factor",
    "mad": "mad_factor",
    "iqr": "iqr_factor",
    "false_discovery": "tail_factor",
}


def with_factor(rule: RefinementParameters, factor: float) -> RefinementParameters:
    """Return the rule with the factor of its own threshold replaced."""
    return rule.model_copy(update={FACTOR_OF[rule.threshold]: factor})


def false_removals(
    removed_by: Callable[[float, int], int], factors: Sequence[float], seeds: Sequence[int], n_images: int
) -> pd.DataFrame:
    """Return one row a factor: the share of a clean set that the whole loop removes, mean and worst over seeds.

    Args:
        removed_by: (factor, seed) -> how many images the loop removed.
        factors: candidates.
        seeds: of the fold splits and initial weights.
        n_images: of the clean set.
    """
    rows = []
    for factor in factors:
        rates = [removed_by(factor, seed) / n_images for seed in seeds]
        rows.append({"factor": factor, "false_removal_rate": sum(rates) / len(rates), "worst_seed": max(rates)})
    return pd.DataFrame(rows)


def choose_factor(table: pd.DataFrame, *, target: float) -> float:
    """Return the smallest factor whose mean false-removal rate, and that of all above it, is within ``target``.

    Args:
        table: what :func:`false_removals` returned.
        target: largest acceptable share of good images removed.

    Raises:
        ParameterError: no candidate is high enough.

    >>> rates = pd.DataFrame({"factor": [2.0, 3.0, 4.0], "false_removal_rate": [0.1, 0.01, 0.0]})
    >>> choose_factor(rates, target=0.02)
    3.0
    """
    chosen = None
    falling = sorted(zip(table["factor"], table["false_removal_rate"], strict=True), reverse=True)
    for factor, rate in falling:
        if rate > target:
            break
        chosen = float(factor)
    if chosen is None:
        highest, rate = falling[0]
        raise ParameterError(
            f"calibration.factors ends at {highest:g}, which still removes "
            f"{100 * rate:.1f} % of a clean set; add higher factors, or raise "
            f"calibration.false_removal_rate ({target:g})."
        )
    return chosen
