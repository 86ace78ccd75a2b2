"""How far a metric would move on another draw of test images: intervals by the bootstrap."""

import numpy as np
import numpy.typing as npt

from irp_kedro.core import seeding

Labels = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float64]

AT_ONCE = 1_000_000  # weights held at a time: resamples x images


def intervals(
    scores: Values, anomalous: Labels, *, threshold: float, samples: int, seed: int
) -> dict[str, list[float] | None]:
    """Return the 95 % percentile interval of each image metric; ``None`` for each where ``samples`` is 0.

    Images are resampled within each class: a resample without one of them has no AUROC. All metrics come from
    the same resamples, as weights on the images sorted once.

    Args:
        scores: (n_images,), higher = more anomalous.
        anomalous: (n_images,), both classes present.
        threshold: of F1 and the false-alarm rate.
        samples: number of resamples.
        seed: of the draw.
    """
    if samples == 0:
        return dict.fromkeys(METRICS)
    rng = seeding.stream(seed, "bootstrap")
    n_normal, n_bad = int((~anomalous).sum()), int(anomalous.sum())
    order = np.concatenate([np.flatnonzero(~anomalous), np.flatnonzero(anomalous)])
    size = max(1, AT_ONCE // len(scores))
    parts = []
    for first in range(0, samples, size):
        weights = np.stack([_weights(rng, n_normal, n_bad) for _ in range(first, min(first + size, samples))])
        parts.append(weighted_metrics(scores[order], weights, n_normal, threshold))
    values = {name: np.concatenate([part[name] for part in parts]) for name in METRICS}
    return {
        name: [float(edge) for edge in np.quantile(found, [0.025, 0.975])] for name, found in values.items()
    }


METRICS = ("image_auroc", "average_precision", "f1", "false_alarm_rate", "fpr_at_95_tpr")


def weighted_metrics(scores: Values, weights: Values, n_normal: int, threshold: float) -> dict[str, Values]:
    """Return each of :data:`METRICS` (n_samples,) for every row of weights.

    Args:
        scores: (n_images,), those of normal images first.
        weights: (n_samples, n_images), how often a resample holds an image.
        n_normal: number of normal images.
        threshold: of F1 and the false-alarm rate.
    """
    order = np.argsort(-scores, kind="stable")
    # Equal scores are one step of the curve: only its end counts.
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    bad = order >= n_normal
    hits = np.cumsum(weights[:, order] * bad, axis=1)[:, ends]
    alarms = np.cumsum(weights[:, order] * ~bad, axis=1)[:, ends]
    zero = np.zeros((len(weights), 1))
    tpr = np.hstack([zero, hits / hits[:, -1:]])
    fpr = np.hstack([zero, alarms / alarms[:, -1:]])
    flagged = hits + alarms
    precision = np.divide(hits, flagged, out=np.zeros(hits.shape), where=flagged > 0)
    above = scores > threshold
    caught, false = weights[:, n_normal:] @ above[n_normal:], weights[:, :n_normal] @ above[:n_normal]
    n_bad = weights[:, n_normal:].sum(axis=1)
    return {
        "image_auroc": (np.diff(fpr, axis=1) * (tpr[:, 1:] + tpr[:, :-1]) / 2).sum(axis=1),
        "average_precision": (np.diff(tpr, axis=1) * precision).sum(axis=1),
        "f1": 2 * caught / (caught + false + n_bad),
        "false_alarm_rate": false / weights[:, :n_normal].sum(axis=1),
        "fpr_at_95_tpr": np.take_along_axis(fpr, (tpr >= 0.95).argmax(axis=1)[:, None], axis=1)[:, 0],
    }


def _weights(rng: np.random.Generator, n_normal: int, n_bad: int) -> Values:
    normal, bad = rng.choice(n_normal, n_normal), rng.choice(n_bad, n_bad)
    counts = [np.bincount(normal, minlength=n_normal), np.bincount(bad, minlength=n_bad)]
    return np.concatenate(counts).astype(np.float64)
