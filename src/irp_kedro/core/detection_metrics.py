"""How well scores tell defective test images from good ones: over all of them, and for each type of defect."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score
from sklearn.metrics import roc_curve as sklearn_roc_curve

from irp_kedro.core.bootstrap import METRICS, intervals
from irp_kedro.core.manifest import ANOMALOUS

Labels = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float64]

ENOUGH = 0.95  # share of the defects that FPR at 95 % TPR asks to be found
TYPE_COLUMNS = (
    "defect_type",
    "test_images",
    "image_auroc",
    "image_auroc_low",
    "image_auroc_high",
    "found",
    "injected",
    "removed",
)


def image_metrics(
    scores: Values, anomalous: Labels, *, threshold: float, bootstrap_samples: int, seed: int
) -> dict[str, Any]:
    """Return the metrics of the test images, each with a 95 % bootstrap interval.

    Args:
        scores: (n_images,), higher = more anomalous.
        anomalous: (n_images,).
        threshold: fixed before any test label was read; of F1 and the false-alarm rate.
        bootstrap_samples: 0 leaves the intervals out.
        seed: of the bootstrap.

    Returns:
        Values, or ``None`` for each where only one class is present.
    """
    counts = {"n_normal": int((~anomalous).sum()), "n_anomalous": int(anomalous.sum())}
    if anomalous.all() or not anomalous.any():
        undefined = [name for metric in METRICS for name in (metric, f"{metric}_interval")]
        return {**counts, **dict.fromkeys(undefined), "threshold": threshold}
    flagged = scores > threshold
    fpr, tpr, _ = sklearn_roc_curve(anomalous, scores)
    values = {
        "image_auroc": float(roc_auc_score(anomalous, scores)),
        "average_precision": float(average_precision_score(anomalous, scores)),
        "f1": float(f1_score(anomalous, flagged)),
        "false_alarm_rate": float(flagged[~anomalous].mean()),
        "fpr_at_95_tpr": fpr_at_tpr(fpr, tpr, ENOUGH),
    }
    spread = intervals(scores, anomalous, threshold=threshold, samples=bootstrap_samples, seed=seed)
    bounds = {f"{name}_interval": bound for name, bound in spread.items()}
    return {**counts, **values, **bounds, "threshold": threshold}


def fpr_at_tpr(fpr: Values, tpr: Values, enough: float) -> float:
    """Return the smallest share of good images flagged where at least ``enough`` of the defects are.

    >>> fpr_at_tpr(np.array([0.0, 0.1, 0.4, 1.0]), np.array([0.5, 0.9, 0.96, 1.0]), 0.95)
    0.4
    """
    return float(fpr[tpr >= enough].min())


def roc_curve(scores: Values, anomalous: Labels) -> pd.DataFrame:
    """Return the curve as ``threshold``, ``fpr``, ``tpr``; no row where only one class is present."""
    columns = ["threshold", "fpr", "tpr"]
    if anomalous.all() or not anomalous.any():
        return pd.DataFrame(columns=columns, dtype=float)
    fpr, tpr, thresholds = sklearn_roc_curve(anomalous, scores)
    return pd.DataFrame({"threshold": thresholds, "fpr": fpr, "tpr": tpr}, columns=columns)


def by_defect_type(
    tested: pd.DataFrame, suspicion: pd.DataFrame, *, threshold: float, bootstrap_samples: int, seed: int
) -> pd.DataFrame:
    """Return one row a type of defect with :data:`TYPE_COLUMNS`; none where the labels are unknown.

    ``found`` is the share of its test images above the threshold; its AUROC is against all good test images.

    Args:
        tested: ``score``, ``label`` and ``defect_type`` of each test image.
        suspicion: ``label``, ``defect_type`` and ``removed`` of each training image.
        threshold: stored with the model.
        bootstrap_samples: 0 leaves the intervals out.
        seed: of the bootstrap.
    """
    bad = suspicion[suspicion["label"] == ANOMALOUS]
    types = sorted({*tested.loc[tested["label"] == ANOMALOUS, "defect_type"], *bad["defect_type"]})
    rows = []
    for name in types:
        injected = bad[bad["defect_type"] == name]
        shown = tested[(tested["label"] != ANOMALOUS) | (tested["defect_type"] == name)]
        anomalous = (shown["label"] == ANOMALOUS).to_numpy()
        scores = shown["score"].to_numpy(dtype=float)
        found = image_metrics(
            scores, anomalous, threshold=threshold, bootstrap_samples=bootstrap_samples, seed=seed
        )
        low, high = found["image_auroc_interval"] or (None, None)
        rows.append(
            {
                "defect_type": name,
                "test_images": found["n_anomalous"],
                "image_auroc": found["image_auroc"],
                "image_auroc_low": low,
                "image_auroc_high": high,
                "found": float((scores[anomalous] > threshold).mean()) if anomalous.any() else None,
                "injected": len(injected),
                "removed": int(injected["removed"].sum()),
            }
        )
    return pd.DataFrame(rows, columns=list(TYPE_COLUMNS))
