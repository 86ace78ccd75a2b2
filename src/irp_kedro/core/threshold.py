"""Above which score an image is an outlier. Every rule sees the scores alone, never a label."""

import numpy as np

from irp_kedro.core.detector import Scores
from irp_kedro.errors import ThresholdUndefinedError
from irp_kedro.parameters import RefinementParameters

MAD_TO_SIGMA = 1.4826  # makes the median absolute deviation estimate a normal distribution's sigma


def median_threshold(scores: Scores, *, factor: float) -> float:
    """Return ``factor`` times the median score (IRP paper, Eq. 5).

    Args:
        scores: (n_images,), higher = more anomalous.
        factor: T, dimensionless, above 1.

    Raises:
        ThresholdUndefinedError: the median is not positive.

    >>> median_threshold(np.array([1.0, 2.0, 9.0]), factor=1.5)
    3.0
    """
    median = float(np.median(scores))
    if median <= 0:
        raise ThresholdUndefinedError(
            f"The median of {len(scores)} anomaly scores is {median:.4g}; T x median needs a positive median. "
            "Set refinement.score: latent_energy, or refinement.threshold: mad, in parameters_refinement.yml."
        )
    return factor * median


def mad_threshold(scores: Scores, *, factor: float) -> float:
    """Return the median plus ``factor`` robust standard deviations (median absolute deviation).

    >>> round(mad_threshold(np.array([1.0, 2.0, 3.0]), factor=1.0), 4)
    3.4826
    """
    median = np.median(scores)
    return float(median + factor * MAD_TO_SIGMA * np.median(np.abs(scores - median)))


def iqr_threshold(scores: Scores, *, factor: float) -> float:
    """Return the third quartile plus ``factor`` interquartile ranges (Tukey's fence).

    >>> iqr_threshold(np.array([0.0, 1.0, 2.0, 3.0, 4.0]), factor=1.5)
    6.0
    """
    lower, upper = np.quantile(scores, [0.25, 0.75])
    return float(upper + factor * (upper - lower))


def threshold(scores: Scores, rule: RefinementParameters) -> float:
    """Return the threshold of the rule that ``refinement.threshold`` names."""
    match rule.threshold:
        case "median_factor":
            return median_threshold(scores, factor=rule.threshold_factor)
        case "mad":
            return mad_threshold(scores, factor=rule.mad_factor)
        case "iqr":
            return iqr_threshold(scores, factor=rule.iqr_factor)
