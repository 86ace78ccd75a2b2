"""Nodes of ``evaluation``."""

from typing import Any

import pandas as pd

from irp_kedro.core.anomaly_maps import choose_images
from irp_kedro.core.cost import run_cost
from irp_kedro.core.evaluation import (
    audit_removals,
    image_metrics,
    rank_by_suspicion,
    removal_metrics,
)
from irp_kedro.core.manifest import ANOMALOUS, as_manifest, labels_known
from irp_kedro.core.records import last_scores
from irp_kedro.parameters import EvaluationParameters


def score_test_split(
    model: Any,
    feature_bank: Any,
    patch_bank: Any,
    test_manifest: pd.DataFrame,
    device: str,
    images: Any = None,
) -> pd.DataFrame:
    """Return the detector's score and verdict for every test image; its threshold came with it."""
    from irp_kedro.strategies import score_images

    test = as_manifest(test_manifest)
    scores = score_images(model, feature_bank, list(test["digest"]), device, patches=patch_bank, images=images)
    table = test[["image_id", "path"]].assign(score=scores)
    return table.assign(threshold=model.config["threshold"], flagged=table["score"] > model.config["threshold"])


def map_anomalies(
    model: Any,
    feature_bank: Any,
    patch_bank: Any,
    images: Any,
    removal_log: pd.DataFrame,
    test_manifest: pd.DataFrame,
    test_scores: pd.DataFrame,
    evaluation: EvaluationParameters,
    device: str,
) -> Any:
    """Return where the strategy's detector sees something, in the images that left and in test images."""
    from irp_kedro.inspection import Inspected, map_images

    chosen = choose_images(removal_log, as_manifest(test_manifest), test_scores, evaluation)
    seen = Inspected(bank=feature_bank, patches=patch_bank, images=images, device=device)
    return map_images(model, seen, list(chosen), list(chosen.values()), n_views=evaluation.map_views)


def audit(
    removal_log: pd.DataFrame, training_manifest: pd.DataFrame, snapshots: list[Any]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the removal log with labels, and every training image from most to least suspect."""
    training = as_manifest(training_manifest)
    cycles = [cycle.record for cycle in snapshots]
    suspicion = rank_by_suspicion(removal_log, training, last_scores(cycles), cycles[-1].judged)
    return audit_removals(removal_log, suspicion), suspicion


def measure(
    test_scores: pd.DataFrame,
    test_manifest: pd.DataFrame,
    suspicion_ranking: pd.DataFrame,
    cycle_history: pd.DataFrame,
    contamination_record: dict[str, Any],
    feature_bank_record: dict[str, Any],
    patch_bank_record: dict[str, Any],
    evaluation: EvaluationParameters,
    seed: int,
) -> dict[str, Any]:
    """Return the metrics of one strategy: test images, removals, contamination and cost."""
    test = as_manifest(test_manifest)
    joined = test_scores.merge(test[["image_id", "label"]], on="image_id", validate="one_to_one")
    image: dict[str, Any] = {"labels_known": labels_known(test), "n_images": len(test)}
    if image["labels_known"]:
        image |= image_metrics(
            joined["score"].to_numpy(),
            (joined["label"] == ANOMALOUS).to_numpy(),
            threshold=float(test_scores["threshold"].iloc[0]),
            bootstrap_samples=evaluation.bootstrap_samples,
            seed=seed,
        )
    last = cycle_history.iloc[-1]
    return {
        "image": image,
        "removals": removal_metrics(suspicion_ranking),
        "achieved_contamination": contamination_record["achieved_contamination"],
        "loop": {"cycles": int(last["cycle"]), "epochs": int(last["epochs"]), "stop": str(last["stop"])},
        "cost": run_cost(feature_bank_record, patch_bank_record, cycle_history),
    }
