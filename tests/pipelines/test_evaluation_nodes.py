from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from irp_kedro.core.anomaly_maps import AnomalyMaps
from irp_kedro.core.manifest import ANOMALOUS, NORMAL
from irp_kedro.core.refinement import RefinementCycle
from irp_kedro.detectors.gaussian import Gaussian
from irp_kedro.detectors.settings import DetectorSettings, TrainedDetector
from irp_kedro.errors import ModelError
from irp_kedro.features.pixels import COLUMNS as PIXEL_COLUMNS
from irp_kedro.parameters import EvaluationParameters, FlowParameters, TrainingParameters, ViewParameters
from irp_kedro.pipelines.evaluation.nodes import (
    audit,
    map_anomalies,
    measure,
    score_test_split,
    trace_errors,
)
from irp_kedro.strategies import CycleResult

NO_PIXELS = pd.DataFrame(columns=list(PIXEL_COLUMNS))
PIXELS = pd.DataFrame([("dent", 1, 2, 0.9, 0.8), ("all", 1, 2, 0.7, 0.6)], columns=list(PIXEL_COLUMNS))
HISTORY = pd.DataFrame({"cycle": [0], "epochs": [2], "images": [3], "seconds": [1.5], "stop": ["done"]})
BANK = {"extracted": 4, "reused": 0, "seconds": 2.0}
THRESHOLD = {"threshold": 2.0, "false_alarm_rate": 0.05, "scores": "held_out", "n_images": 3, "seconds": 1.0}
PATCHES = {"extracted": 4, "reused": 0, "seconds": 8.0}
LOG = pd.DataFrame({"cycle": [1], "action": ["removed"], "image_id": ["id1"], "score": [9.0]})


def snapshots() -> list[CycleResult]:
    record = RefinementCycle(
        cycle=1,
        kept=("id0", "id2"),
        judged={"id0": 1.0, "id1": 9.0, "id2": 2.0},
        losses=(),
        epochs=2,
        stop="done",
        final_scores={"id0": 1.0, "id2": 2.0},
    )
    return [CycleResult(record=record, seconds=1.0, model=None)]


def test_the_audit_joins_labels_and_ranks_every_image(manifest_of: Any) -> None:
    training = manifest_of(("train", "normal", ""), ("train", "anomalous", "dent"), ("train", "normal", ""))
    audited, suspicion = audit(LOG, training, snapshots())
    assert audited[["image_id", "label", "defect_type"]].to_numpy().tolist() == [["id1", "anomalous", "dent"]]
    assert list(suspicion["image_id"]) == ["id1", "id2", "id0"]
    assert audited["ranking_average_precision"].tolist() == [1.0]


def test_metrics_join_labels_by_id_and_count_the_cost(manifest_of: Any) -> None:
    training = manifest_of(("train", "normal", ""), ("train", "anomalous", "dent"), ("train", "normal", ""))
    test = manifest_of(("test", "anomalous", "dent"), ("test", "normal", ""))
    scores = pd.DataFrame({"image_id": ["id1", "id0"], "score": [1.0, 5.0], "threshold": 2.0})
    _, suspicion = audit(LOG, training, snapshots())
    metrics = measure(
        scores,
        test,
        suspicion,
        HISTORY,
        {"achieved_contamination": 1 / 3},
        BANK,
        PATCHES,
        THRESHOLD,
        PIXELS,
        EvaluationParameters(bootstrap_samples=10),
        seed=0,
    )
    assert metrics["image"]["image_auroc"] == 1.0
    assert metrics["image"]["f1"] == 1.0
    assert metrics["removals"]["precision"] == 1.0
    assert metrics["cost"]["extraction_images_per_second"] == 2.0
    assert metrics["cost"]["patch_extraction_images_per_second"] == 0.5
    assert metrics["threshold"] == {key: value for key, value in THRESHOLD.items() if key != "seconds"}
    assert metrics["cost"]["threshold_seconds"] == 1.0
    assert metrics["pixel"] == {"images": 1, "regions": 2, "pixel_auroc": 0.7, "aupro": 0.6}


def test_without_test_labels_there_is_no_auroc(manifest_of: Any) -> None:
    nothing = manifest_of()
    training = manifest_of(*[("train", "unknown", "")] * 3)
    scores = pd.DataFrame({"image_id": [], "score": [], "threshold": []}).astype({"image_id": str})
    _, suspicion = audit(LOG, training, snapshots())
    record = {"achieved_contamination": None}
    metrics = measure(
        scores,
        nothing,
        suspicion,
        HISTORY,
        record,
        BANK,
        PATCHES,
        THRESHOLD,
        NO_PIXELS,
        EvaluationParameters(),
        seed=0,
    )
    assert metrics["image"] == {"labels_known": False, "n_images": 0}
    assert metrics["pixel"] == {"images": 0, "regions": 0, "pixel_auroc": None, "aupro": None}
    assert metrics["removals"] == {
        "n_images": 3,
        "n_removed": 1,
        "n_doubtful": 0,
        "n_variants": 0,
        "labels_known": False,
    }


def trained_on(features: np.ndarray, threshold: float) -> TrainedDetector:
    settings = DetectorSettings(
        flow=FlowParameters(),
        training=TrainingParameters(),
        views=ViewParameters(bank=1, train=1, score=1),
        score="latent_energy",
        seed=0,
    )
    detector = Gaussian(torch.from_numpy(features), settings)
    detector.fit(np.arange(len(features)), epochs=1)
    model = detector.export()
    return TrainedDetector(
        detector=model.detector, tensors=model.tensors, config={**model.config, "threshold": threshold}
    )


def test_a_test_image_is_flagged_above_the_threshold_that_came_with_the_model(
    manifest_of: Any, bank_of: Any, no_patches: Any
) -> None:
    test = manifest_of(*[("test", "normal", "")] * 12, ("test", "anomalous", "dent"))
    bank = bank_of(test, odd=12)
    features = bank.read(list(test["digest"][:12]))
    scores = score_test_split(trained_on(features, threshold=50.0), bank, no_patches, test, "cpu")
    assert list(scores["image_id"]) == list(test["image_id"])
    assert scores["score"].idxmax() == 12
    assert scores["flagged"].tolist() == [False] * 12 + [True]
    assert set(scores["threshold"]) == {50.0}


def test_a_model_that_gives_no_finite_score_is_a_fault_and_calls_nothing_normal(
    manifest_of: Any, bank_of: Any, no_patches: Any
) -> None:
    test = manifest_of(*[("test", "normal", "")] * 6)
    bank = bank_of(test)
    model = trained_on(bank.read(list(test["digest"])), threshold=1.0)
    broken = {**model.tensors, "mean": torch.full_like(model.tensors["mean"], torch.nan)}
    diverged = TrainedDetector(detector=model.detector, tensors=broken, config=model.config)
    with pytest.raises(ModelError, match="6 of 6 test images have no finite score"):
        score_test_split(diverged, bank, no_patches, test, "cpu")


def test_the_table_of_test_scores_holds_no_label(manifest_of: Any, bank_of: Any, no_patches: Any) -> None:
    test = manifest_of(*[("test", "normal", "")] * 6, ("test", "anomalous", "dent"))
    bank = bank_of(test)
    model = trained_on(bank.read(list(test["digest"])), threshold=1.0)
    scores = score_test_split(model, bank, no_patches, test, "cpu")
    assert list(scores.columns) == ["image_id", "path", "score", "threshold", "flagged"]
    relabelled = test.assign(label=test["label"].map({NORMAL: ANOMALOUS, ANOMALOUS: NORMAL}))
    pd.testing.assert_frame_equal(score_test_split(model, bank, no_patches, relabelled, "cpu"), scores)


def test_a_test_image_that_was_scored_twice_is_no_average_but_an_error(manifest_of: Any) -> None:
    training = manifest_of(("train", "normal", ""), ("train", "anomalous", "dent"), ("train", "normal", ""))
    test = manifest_of(("test", "anomalous", "dent"), ("test", "normal", ""))
    scores = pd.DataFrame({"image_id": ["id0", "id0", "id1"], "score": [1.0, 5.0, 2.0], "threshold": 2.0})
    _, suspicion = audit(LOG, training, snapshots())
    record = {"achieved_contamination": 1 / 3}
    with pytest.raises(pd.errors.MergeError):
        measure(
            scores,
            test,
            suspicion,
            HISTORY,
            record,
            BANK,
            PATCHES,
            THRESHOLD,
            NO_PIXELS,
            EvaluationParameters(),
            seed=0,
        )


def test_errors_are_traced_by_threshold_and_by_type_of_defect(manifest_of: Any) -> None:
    training = manifest_of(("train", "normal", ""), ("train", "anomalous", "dent"), ("train", "normal", ""))
    test = manifest_of(("test", "anomalous", "dent"), ("test", "normal", ""))
    scores = pd.DataFrame({"image_id": ["id1", "id0"], "score": [1.0, 5.0], "threshold": 2.0})
    _, suspicion = audit(LOG, training, snapshots())
    curve, types = trace_errors(
        scores, test, suspicion, PIXELS, EvaluationParameters(bootstrap_samples=10), seed=0
    )
    assert curve["tpr"].tolist()[-1] == 1.0
    shown = types[["defect_type", "image_auroc", "injected", "removed", "aupro"]]
    assert shown.to_numpy().tolist() == [["dent", 1.0, 1, 1, 0.8]]


def test_without_labels_there_is_no_curve_and_no_type(manifest_of: Any) -> None:
    training = manifest_of(*[("train", "unknown", "")] * 3)
    scores = pd.DataFrame({"image_id": [], "score": [], "threshold": []}).astype({"image_id": str})
    _, suspicion = audit(LOG, training, snapshots())
    for found in trace_errors(scores, manifest_of(), suspicion, NO_PIXELS, EvaluationParameters(), seed=0):
        assert found.empty


def test_no_maps_are_made_where_none_are_asked_for(manifest_of: Any, bank_of: Any, no_patches: Any) -> None:
    test = manifest_of(*[("test", "normal", "")] * 6)
    bank = bank_of(test)
    model = trained_on(bank.read(list(test["digest"])), threshold=1.0)
    scores = test[["image_id"]].assign(score=1.0)
    _, suspicion = audit(LOG, manifest_of(*[("train", "unknown", "")] * 3), snapshots())
    evaluation = EvaluationParameters(maps="none")
    maps = map_anomalies(
        model,
        bank,
        no_patches,
        None,
        LOG.assign(digest="0"),
        test,
        scores,
        suspicion,
        HISTORY,
        AnomalyMaps.empty(),
        evaluation,
        5,
        "cpu",
    )
    assert len(maps) == 0
