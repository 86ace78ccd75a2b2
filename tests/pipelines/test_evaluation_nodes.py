from typing import Any

import pandas as pd

from irp_kedro.core.refinement import RefinementCycle
from irp_kedro.parameters import EvaluationParameters
from irp_kedro.pipelines.evaluation.nodes import audit, measure
from irp_kedro.strategies import CycleResult

HISTORY = pd.DataFrame({"cycle": [0], "epochs": [2], "images": [3], "seconds": [1.5], "stop": ["done"]})
BANK = {"extraction": {"extracted": 4, "reused": 0, "seconds": 2.0}}
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
        EvaluationParameters(bootstrap_samples=10),
        seed=0,
    )
    assert metrics["image"]["image_auroc"] == 1.0
    assert metrics["image"]["f1"] == 1.0
    assert metrics["removals"]["precision"] == 1.0
    assert metrics["cost"]["extraction_images_per_second"] == 2.0


def test_without_test_labels_there_is_no_auroc(manifest_of: Any) -> None:
    nothing = manifest_of()
    training = manifest_of(*[("train", "unknown", "")] * 3)
    scores = pd.DataFrame({"image_id": [], "score": [], "threshold": []}).astype({"image_id": str})
    _, suspicion = audit(LOG, training, snapshots())
    record = {"achieved_contamination": None}
    metrics = measure(scores, nothing, suspicion, HISTORY, record, BANK, EvaluationParameters(), seed=0)
    assert metrics["image"] == {"labels_known": False, "n_images": 0}
    assert metrics["removals"] == {"n_images": 3, "n_removed": 1, "labels_known": False}
