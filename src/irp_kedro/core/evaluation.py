"""Was it right? Labels meet removals here, and scores in ``detection_metrics``; nowhere before."""

from collections.abc import Collection
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.metrics import average_precision_score

from irp_kedro.core.manifest import ANOMALOUS, labels_known
from irp_kedro.core.removal import ranking

Values = npt.NDArray[np.float64]


def label_free_threshold(training_scores: Values, *, false_alarm_rate: float) -> float:
    """Return the score that ``false_alarm_rate`` of the refined training images exceed; no label is used.

    >>> label_free_threshold(np.arange(101.0), false_alarm_rate=0.05)
    95.0
    """
    return float(np.quantile(training_scores, 1 - false_alarm_rate))


def rank_by_suspicion(
    log: pd.DataFrame,
    training: pd.DataFrame,
    last_scores: dict[str, float],
    judged_last: Collection[str] = (),
    *,
    doubtful: Collection[str] = (),
    variants: Collection[str] = (),
) -> pd.DataFrame:
    """Return one row a training image, most suspect first: the removed in order, the rest by last score.

    Where the last cycle judged the removed ones too, they stand in the order of that judgement.

    Args:
        log: the removal log, in order.
        training: manifest of the set before refinement, with labels.
        last_scores: last score of each image, higher = more anomalous; at least of those that stayed.
        judged_last: the images that the last cycle judged.
        doubtful: those that stayed and are in doubt.
        variants: those that stayed because they form a variant of the product.
    """
    removed = removed_ids(log)
    gone = set(removed)
    judged_again = gone <= set(judged_last)
    if judged_again:
        removed = sorted(removed, key=lambda image: -last_scores[image])
    order = ranking(removed, {image: score for image, score in last_scores.items() if image not in gone})
    known = training.set_index("image_id")
    ranked = known.loc[order, ["path", "digest", "label", "defect_type"]].reset_index()
    ranked.insert(0, "rank", np.arange(1, len(ranked) + 1))
    ranked["removed"] = ranked["image_id"].isin(gone)
    ranked["doubtful"] = ranked["image_id"].isin(doubtful)
    ranked["variant"] = ranked["image_id"].isin(variants)
    leaving = log.drop_duplicates("image_id", keep="last").set_index("image_id")["score"].to_dict()
    at_removal = {} if judged_again else {image: leaving[image] for image in removed}
    scores = {**last_scores, **at_removal}
    return ranked.assign(score=ranked["image_id"].map(scores).astype(float))


def audit_removals(log: pd.DataFrame, suspicion: pd.DataFrame) -> pd.DataFrame:
    """Return the removal log with the label and defect type of each image, and the ranking's quality.

    Args:
        log: the removal log.
        suspicion: what :func:`rank_by_suspicion` returned.
    """
    labels = suspicion[["image_id", "label", "defect_type"]]
    audit = log.merge(labels, on="image_id", how="left", validate="many_to_one")
    quality = removal_metrics(suspicion).get("ranking_average_precision")
    return audit.assign(ranking_average_precision=np.nan if quality is None else quality)


def removed_ids(log: pd.DataFrame) -> list[str]:
    """Return the images that are out of the set after the last row of the log, in the order they left."""
    last = log.drop_duplicates("image_id", keep="last")
    return list(last.loc[last["action"] == "removed", "image_id"])


def last_judges(log: pd.DataFrame) -> dict[str, str]:
    """Return who decided last on each image of the log, as the log names them."""
    last = log.drop_duplicates("image_id", keep="last")
    return dict(zip(last["image_id"], last["judge"], strict=True))


def nearly_removed(suspicion: pd.DataFrame, history: pd.DataFrame, *, most: int) -> pd.DataFrame:
    """Return the images that stayed, most suspect first, ``most`` of them, with the last threshold.

    Those of a variant are none of them: their scores say nothing.

    Where nobody judged there is no threshold to be near to, and no row.
    """
    thresholds = history["threshold"].dropna()
    if thresholds.empty:
        return suspicion.iloc[:0].assign(threshold=pd.Series(dtype=float))
    stayed = suspicion[~suspicion["removed"] & ~suspicion["variant"]]
    stayed = stayed.sort_values("score", ascending=False, kind="stable")
    return stayed.head(most).assign(threshold=float(thresholds.iloc[-1]))


def of_variants(suspicion: pd.DataFrame, *, most: int) -> pd.DataFrame:
    """Return ``most`` of the images that stayed as a variant of the product; without score and threshold."""
    return suspicion[suspicion["variant"]].head(most).assign(score=np.nan, threshold=np.nan)


def removal_metrics(suspicion: pd.DataFrame) -> dict[str, Any]:
    """Return counts, precision, recall, false-removal rate and average precision of the ranking.

    Images in doubt and those of a variant have stayed: they count as left where they are defects.

    Where the labels are unknown only the counts are given; a value that has no denominator is ``None``.

    Args:
        suspicion: what :func:`rank_by_suspicion` returned.
    """
    n_removed = int(suspicion["removed"].sum())
    counts: dict[str, Any] = {
        "n_images": len(suspicion),
        "n_removed": n_removed,
        "n_doubtful": int(suspicion["doubtful"].sum()),
        "n_variants": int(suspicion["variant"].sum()),
        "labels_known": labels_known(suspicion),
    }
    if not counts["labels_known"]:
        return counts
    anomalous = suspicion["label"] == ANOMALOUS
    n_bad, n_good = int(anomalous.sum()), int((~anomalous).sum())
    bad_removed = int((anomalous & suspicion["removed"]).sum())
    good_removed = n_removed - bad_removed
    ranked = -suspicion["rank"].to_numpy()
    return {
        **counts,
        "bad_removed": bad_removed,
        "good_removed": good_removed,
        "bad_left": n_bad - bad_removed,
        "bad_doubtful": int((anomalous & suspicion["doubtful"]).sum()),
        "bad_variants": int((anomalous & suspicion["variant"]).sum()),
        "precision": bad_removed / n_removed if n_removed else None,
        "recall": bad_removed / n_bad if n_bad else None,
        "false_removal_rate": good_removed / n_good if n_good else None,
        "ranking_average_precision": float(average_precision_score(anomalous, ranked)) if n_bad else None,
    }
