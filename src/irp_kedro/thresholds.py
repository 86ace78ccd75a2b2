"""Above which score a new image is called defective: settled without a label, stored with the model."""

import logging
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from irp_kedro.core import seeding
from irp_kedro.core.detector import BlindSet, Rows, Scores
from irp_kedro.core.doubt import train
from irp_kedro.core.evaluation import label_free_threshold
from irp_kedro.core.refinement import RefinementCycle
from irp_kedro.detectors.registry import DETECTORS, detector_type
from irp_kedro.detectors.settings import TrainedDetector
from irp_kedro.features.bank import FeatureBank
from irp_kedro.features.preparation import PreparedImages
from irp_kedro.judges import FeatureLoader, LoopSettings
from irp_kedro.measuring_parameters import EvaluationParameters
from irp_kedro.strategies import CycleResult

logger = logging.getLogger(__name__)

FEWEST = 8  # images that can be parted in two


@dataclass(frozen=True, kw_only=True)
class SettledThreshold:
    """A threshold and what it was taken from.

    Attributes:
        model: the detector, with the threshold in its configuration.
        scores: ``image_id`` and ``score`` of each image of the refined set that was held out.
        record: the threshold, how it was found, and what that cost.
    """

    model: TrainedDetector
    scores: pd.DataFrame
    record: dict[str, Any]


def settle_threshold(
    last: CycleResult,
    training: pd.DataFrame,
    bank: FeatureBank,
    settings: LoopSettings,
    evaluation: EvaluationParameters,
    *,
    patches: FeatureBank | None = None,
    images: PreparedImages | None = None,
) -> SettledThreshold:
    """Return the trained model with the score that a share of good images may exceed (decision 0033).

    A detector scores images it was trained on lower than new ones. So another is trained alike, on a part of
    the refined set, and the threshold comes from its scores of the rest. Images in doubt are among these: most
    of them are good, and new images will be as odd.

    Args:
        last: the last cycle, with the model.
        training: manifest of the set before refinement; ids and digests are taken from it, nothing else.
        bank: features of its images.
        settings: of the loop.
        evaluation: the false-alarm rate, and where the scores come from.
        patches: patch features, where the detector works on them.
        images: prepared images, where it works on pixels.
    """
    started = time.perf_counter()
    kept = training[training["image_id"].isin(last.record.final_scores)]
    blind = BlindSet.of(kept, seed=settings.seed)
    ids, scores = list(blind.image_ids), np.array([last.record.final_scores[name] for name in blind.image_ids])
    # Whoever leaves an image out by itself when it scores it has no in-sample scores.
    held_out = DETECTORS[settings.detector].leaves_one_out
    if evaluation.threshold_scores == "held_out" and not held_out and len(blind) >= FEWEST:
        held_out = True
        load = FeatureLoader(bank, patches, blind.digests, settings.device, images)
        rows, scores = _held_out(load, settings, last.record, blind, fraction=evaluation.held_out_fraction)
        ids = [ids[row] for row in rows]
    threshold = label_free_threshold(scores, false_alarm_rate=evaluation.false_alarm_rate)
    stored = {"threshold": threshold, "false_alarm_rate": evaluation.false_alarm_rate}
    seconds = time.perf_counter() - started
    logger.info("threshold %.3f from %d scores, %.1f s", threshold, len(scores), seconds)
    return SettledThreshold(
        model=replace(last.trained, config={**last.trained.config, **stored}),
        scores=pd.DataFrame({"image_id": ids, "score": scores}),
        record={
            **stored,
            "scores": "held_out" if held_out else "in_sample",
            "n_images": len(scores),
            "seconds": seconds,
        },
    )


def _held_out(
    load: FeatureLoader, settings: LoopSettings, record: RefinementCycle, blind: BlindSet, *, fraction: float
) -> tuple[Rows, Scores]:
    """Return which images were held out, and their scores by a detector trained on the others."""
    order = seeding.stream(settings.seed, "threshold").permutation(len(blind))
    size = min(max(1, round(fraction * len(blind))), len(blind) - 2)
    held_out, others = np.sort(order[:size]), np.sort(order[size:])
    name = settings.detector
    detector = detector_type(name)(load.of(name), settings.detector_settings, "threshold")
    in_doubt = np.flatnonzero(np.isin(blind.image_ids, record.doubtful))
    train(
        detector,
        others,
        np.intersect1d(others, in_doubt),
        share=record.doubtful_share,
        epochs=settings.training.epochs,
        rng=seeding.stream(settings.seed, "threshold", "doubt"),
    )
    return held_out, detector.score(held_out)
