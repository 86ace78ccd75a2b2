"""Above which score an image is an outlier. Every rule sees the scores alone, never a label."""

import numpy as np

from irp_kedro.core.detector import Scores
from irp_kedro.errors import ThresholdUndefinedError
from irp_kedro.parameters import RefinementParameters

MAD_TO_SIGMA = 1.4826  # makes the median absolute deviation estimate a normal distribution's sigma
SMALLEST_SPREAD = 1e-9  # more than half of the scores may be equal
# Of the standard Gumbel distribution: its median, and its median absolute deviation times MAD_TO_SIGMA.
GUMBEL_MEDIAN = 0.36651
GUMBEL_SPREAD = 0.76705 * MAD_TO_SIGMA


def location_and_spread(scores: Scores) -> tuple[float, float]:
    """Return the median and the robust standard deviation (1.4826 x median absolute deviation, above 0).

    >>> location_and_spread(np.array([1.0, 2.0, 3.0]))
    (2.0, 1.4826)
    """
    median = float(np.median(scores))
    spread = MAD_TO_SIGMA * float(np.median(np.abs(scores - median)))
    return median, max(spread, SMALLEST_SPREAD)


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


def false_discovery_threshold(scores: Scores, outside: Scores, *, rate: float, tail_factor: float) -> float:
    """Return the score above which at most about ``rate`` of the images are good (decision 0029).

    An image's score is an extreme of its parts, so the scores of good images are taken to follow a Gumbel
    distribution with the median of the set and ``tail_factor`` times its spread. The rule is that of Benjamini
    and Hochberg (J. R. Statist. Soc. B 57, 1995): the more images stand far out, the further down the threshold
    comes; where nothing stands out, nothing is above it.

    Args:
        scores: (n_images,) of the set, higher = more anomalous.
        outside: scores of the images that left it; they count among the discoveries.
        rate: expected share of good images among those above the threshold, between 0 and 1.
        tail_factor: by how much the tail of good images is heavier than Gumbel's; see ``kedro irp calibrate``.

    >>> good = np.linspace(-1, 1, 99)
    >>> far_out = np.array([20.0, 21.0])
    >>> limit = false_discovery_threshold(good, far_out, rate=0.2, tail_factor=1.5)
    >>> bool((good < limit).all() and (far_out > limit).all())
    True
    """
    median, spread = location_and_spread(scores)
    ranked = np.sort(np.concatenate([scores, outside]))[::-1]
    n_images = len(ranked)
    # The k-th largest is a discovery where its tail probability is at most rate x k / n.
    allowed = rate * np.arange(1, n_images + 1) / n_images
    quantiles = -np.log(-np.log1p(-allowed))
    limits = median + spread * tail_factor * (quantiles - GUMBEL_MEDIAN) / GUMBEL_SPREAD
    found = np.flatnonzero(ranked > limits)
    return float(limits[found[-1] if len(found) else 0])


def threshold(
    scores: Scores, rule: RefinementParameters, outside: Scores | None = None, stretch: float = 1.0
) -> float:
    """Return the threshold of the rule that ``refinement.threshold`` names.

    Args:
        scores: (n_images,) of the set.
        rule: names the rule and its factor.
        outside: scores of the images that left the set, where they are judged too.
        stretch: by how much further out the threshold of ``false_discovery`` lies.
    """
    match rule.threshold:
        case "false_discovery":
            return false_discovery_threshold(
                scores,
                np.empty(0) if outside is None else outside,
                rate=rule.false_discovery_rate,
                tail_factor=rule.tail_factor * stretch,
            )
        case "median_factor":
            return median_threshold(scores, factor=rule.threshold_factor)
        case "mad":
            return mad_threshold(scores, factor=rule.mad_factor)
        case "iqr":
            return iqr_threshold(scores, factor=rule.iqr_factor)
