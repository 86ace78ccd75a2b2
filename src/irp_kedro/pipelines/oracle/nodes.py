"""Nodes of ``oracle``: labels choose the training set here, so nothing of it may flow back."""

import logging
from typing import Any

import numpy as np
import pandas as pd

from irp_kedro.core.detection_metrics import image_metrics, roc_curve
from irp_kedro.core.manifest import ANOMALOUS, NORMAL, as_manifest, labels_known
from irp_kedro.measuring_parameters import EvaluationParameters
from irp_kedro.parameters import (
    FlowParameters,
    PatchParameters,
    RefinementParameters,
    TrainingParameters,
    ViewParameters,
)

logger = logging.getLogger(__name__)


def train_on_clean_set(
    training_manifest: pd.DataFrame,
    test_manifest: pd.DataFrame,
    feature_bank: Any,
    patch_bank: Any,
    detector: str,
    refinement: RefinementParameters,
    training: TrainingParameters,
    flow: FlowParameters,
    views: ViewParameters,
    patches: PatchParameters,
    evaluation: EvaluationParameters,
    seed: int,
    device: str,
    images: Any = None,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Return metrics and ROC curve of the detector that was trained without a single injected defect."""
    from irp_kedro.judges import LoopSettings
    from irp_kedro.strategies import run_strategy, score_images
    from irp_kedro.thresholds import settle_threshold

    labelled, test = as_manifest(training_manifest), as_manifest(test_manifest)
    if not (labels_known(labelled) and labels_known(test)):
        reason = "No oracle: the training or the test images have no labels."
        logger.info(reason)
        return {"available": False, "reason": reason}, roc_curve(np.empty(0), np.empty(0, dtype=bool))
    clean = labelled[labelled["label"] == NORMAL]
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
    *_, last = run_strategy(
        "vanilla", clean, feature_bank, settings, called="oracle", patches=patch_bank, images=images
    )
    settled = settle_threshold(
        last, clean, feature_bank, settings, evaluation, patches=patch_bank, images=images
    )
    scores = score_images(
        settled.model, feature_bank, list(test["digest"]), device, patches=patch_bank, images=images
    )
    anomalous = (test["label"] == ANOMALOUS).to_numpy()
    image = image_metrics(
        scores,
        anomalous,
        threshold=settled.record["threshold"],
        bootstrap_samples=evaluation.bootstrap_samples,
        seed=seed,
    )
    metrics = {"available": True, "image": image, "n_training": len(clean), "seconds": last.seconds}
    return metrics, roc_curve(scores, anomalous)
