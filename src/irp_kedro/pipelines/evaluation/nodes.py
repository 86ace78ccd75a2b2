"""Nodes of ``evaluation``."""

from typing import Any

import numpy as np
import pandas as pd

from irp_kedro.core.anomaly_maps import choose_images
from irp_kedro.core.cost import run_cost
from irp_kedro.core.detection_metrics import by_defect_type, image_metrics, roc_curve
from irp_kedro.core.evaluation import (
    audit_removals,
    last_judges,
    nearly_removed,
    of_variants,
    rank_by_suspicion,
    removal_metrics,
    removed_ids,
)
from irp_kedro.core.manifest import ANOMALOUS, as_manifest, labels_known
from irp_kedro.core.records import last_scores
from irp_kedro.errors import ModelError
from irp_kedro.measuring_parameters import EvaluationParameters
from irp_kedro.parameters import (
    FlowParameters,
    PatchParameters,
    RefinementParameters,
    TrainingParameters,
    ViewParameters,
)


def score_test_split(
    model: Any,
    feature_bank: Any,
    patch_bank: Any,
    test_manifest: pd.DataFrame,
    device: str,
    images: Any = None,
) -> pd.DataFrame:
    """Return the detector's score and verdict for every test image; its threshold came with it.

    Raises:
        ModelError: a score is no finite number.
    """
    from irp_kedro.strategies import score_images

    test = as_manifest(test_manifest)
    scores = score_images(model, feature_bank, list(test["digest"]), device, patches=patch_bank, images=images)
    table = test[["image_id", "path"]].assign(score=scores)
    lost = table[~np.isfinite(table["score"])]
    if len(lost):
        raise ModelError(
            f"{len(lost)} of {len(table)} test images have no finite score (first: {lost['path'].iloc[0]}): "
            "the training of the model diverged. Lower training.learning_rate and run again."
        )
    return table.assign(threshold=model.config["threshold"], flagged=table["score"] > model.config["threshold"])


def map_anomalies(
    model: Any,
    feature_bank: Any,
    patch_bank: Any,
    images: Any,
    removal_log: pd.DataFrame,
    test_manifest: pd.DataFrame,
    test_scores: pd.DataFrame,
    suspicion_ranking: pd.DataFrame,
    cycle_history: pd.DataFrame,
    judge_maps: Any,
    evaluation: EvaluationParameters,
    near_images: int,
    device: str,
) -> Any:
    """Return where the detector sees something: in test images, removed ones, and near ones without a map."""
    from irp_kedro.inspection import Inspected, map_images

    chosen = choose_images(removal_log, as_manifest(test_manifest), test_scores, evaluation)
    if evaluation.maps != "none":
        near = nearly_removed(suspicion_ranking, cycle_history, most=near_images)
        pairs = zip(near["image_id"], near["digest"], strict=True)
        chosen |= {image: digest for image, digest in pairs if image not in judge_maps}
    seen = Inspected(bank=feature_bank, patches=patch_bank, images=images, device=device)
    return map_images(model, seen, list(chosen), list(chosen.values()), n_views=evaluation.map_views)


def map_judgement(
    training_manifest: pd.DataFrame,
    feature_bank: Any,
    patch_bank: Any,
    images: Any,
    removal_log: pd.DataFrame,
    suspicion_ranking: pd.DataFrame,
    cycle_history: pd.DataFrame,
    detector: str,
    refinement: RefinementParameters,
    training: TrainingParameters,
    flow: FlowParameters,
    views: ViewParameters,
    patches: PatchParameters,
    evaluation: EvaluationParameters,
    near_images: int,
    seed: int,
    device: str,
) -> Any:
    """Return where a judge that scores places sees something: in what left, nearly did, or forms a variant."""
    from irp_kedro.inspection import Inspected
    from irp_kedro.judge_maps import map_judgement
    from irp_kedro.judges import LoopSettings

    settings = LoopSettings(
        detector=detector,
        refinement=refinement,
        training=training,
        flow=flow,
        views=views,
        patches=patches,
        seed=seed,
        device=device,
    )
    gone = removed_ids(removal_log)
    near = nearly_removed(suspicion_ranking, cycle_history, most=near_images)
    alike = of_variants(suspicion_ranking, most=near_images)
    suspects = [] if evaluation.maps == "none" else [*gone, *near["image_id"], *alike["image_id"]]
    blind = as_manifest(training_manifest)[["image_id", "digest"]]
    kept = sorted(set(blind["image_id"]) - set(gone))
    seen = Inspected(bank=feature_bank, patches=patch_bank, images=images, device=device)
    return map_judgement(blind, kept, suspects, seen, settings, found_by=last_judges(removal_log))


def audit(
    removal_log: pd.DataFrame, training_manifest: pd.DataFrame, snapshots: list[Any]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the removal log with labels, and every training image from most to least suspect."""
    training = as_manifest(training_manifest)
    cycles = [cycle.record for cycle in snapshots]
    last = cycles[-1]
    suspicion = rank_by_suspicion(
        removal_log,
        training,
        last_scores(cycles),
        last.judged,
        doubtful=last.doubtful,
        variants=last.variants,
    )
    return audit_removals(removal_log, suspicion), suspicion


def measure(
    test_scores: pd.DataFrame,
    test_manifest: pd.DataFrame,
    suspicion_ranking: pd.DataFrame,
    cycle_history: pd.DataFrame,
    contamination_record: dict[str, Any],
    feature_bank_record: dict[str, Any],
    patch_bank_record: dict[str, Any],
    threshold_record: dict[str, Any],
    pixel_metrics: pd.DataFrame,
    evaluation: EvaluationParameters,
    seed: int,
) -> dict[str, Any]:
    """Return the metrics of one strategy: test images, removals, contamination and cost."""
    test, joined = _joined(test_scores, test_manifest)
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
        "pixel": _of_every_type(pixel_metrics),
        "removals": removal_metrics(suspicion_ranking),
        "achieved_contamination": contamination_record["achieved_contamination"],
        "loop": {"cycles": int(last["cycle"]), "epochs": int(last["epochs"]), "stop": str(last["stop"])},
        "threshold": {key: value for key, value in threshold_record.items() if key != "seconds"},
        "cost": run_cost(feature_bank_record, patch_bank_record, cycle_history, threshold_record),
    }


def trace_errors(
    test_scores: pd.DataFrame,
    test_manifest: pd.DataFrame,
    suspicion_ranking: pd.DataFrame,
    pixel_metrics: pd.DataFrame,
    evaluation: EvaluationParameters,
    seed: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the ROC curve, and AUROC and removals of each type of defect; both empty without labels."""
    test, joined = _joined(test_scores, test_manifest)
    labelled = joined if labels_known(test) else joined.iloc[:0]
    anomalous = (labelled["label"] == ANOMALOUS).to_numpy(dtype=bool)
    types = by_defect_type(
        labelled,
        suspicion_ranking,
        threshold=float(test_scores["threshold"].iloc[0]) if len(test_scores) else float("nan"),
        bootstrap_samples=evaluation.bootstrap_samples,
        seed=seed,
    )
    pixels = pixel_metrics[["defect_type", "pixel_auroc", "aupro"]]
    curve = roc_curve(labelled["score"].to_numpy(dtype=float), anomalous)
    return curve, types.merge(pixels, on="defect_type", how="left")


def measure_pixels(anomaly_maps: Any, test_manifest: pd.DataFrame, images: Any) -> pd.DataFrame:
    """Return how well the maps find the defective pixels, where test images have masks."""
    from irp_kedro.datasets.image_reading import read_mask
    from irp_kedro.features import pixels

    return pixels.measure_pixels(anomaly_maps, as_manifest(test_manifest), images.preparation, read_mask)


def _of_every_type(pixel_metrics: pd.DataFrame) -> dict[str, Any]:
    found = pixel_metrics[pixel_metrics["defect_type"] == "all"]
    known = found.iloc[0] if len(found) else pd.Series({"images": 0, "regions": 0})
    values = {name: known.get(name) for name in ("pixel_auroc", "aupro")}
    counts = {name: int(known[name]) for name in ("images", "regions")}
    return {**counts, **{name: None if pd.isna(value) else float(value) for name, value in values.items()}}


def _joined(test_scores: pd.DataFrame, test_manifest: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    test = as_manifest(test_manifest)
    known = test[["image_id", "label", "defect_type"]]
    return test, test_scores.merge(known, on="image_id", validate="one_to_one")
