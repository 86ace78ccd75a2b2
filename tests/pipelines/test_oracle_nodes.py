from typing import Any

from irp_kedro.parameters import (
    EvaluationParameters,
    FlowParameters,
    RefinementParameters,
    TrainingParameters,
    ViewParameters,
)
from irp_kedro.pipelines.oracle.nodes import train_on_clean_set

VIEWS = ViewParameters(bank=1, train=1, score=1)
SHARED = (RefinementParameters(), TrainingParameters(), FlowParameters(), VIEWS, EvaluationParameters())


def test_no_defect_is_in_the_oracle_s_training_set(manifest_of: Any, bank_of: Any) -> None:
    training = manifest_of(*[("train", "normal", "")] * 12, ("train", "anomalous", "dent"))
    test = training.iloc[[0, 12]].assign(split="test")
    metrics = train_on_clean_set(
        training, test, bank_of(training, odd=12), "gaussian", *SHARED, seed=0, device="cpu"
    )
    assert metrics["available"]
    assert metrics["n_training"] == 12
    assert metrics["image"]["image_auroc"] == 1.0


def test_without_labels_there_is_no_oracle_and_it_says_why(manifest_of: Any) -> None:
    training = manifest_of(*[("train", "unknown", "")] * 3)
    metrics = train_on_clean_set(training, manifest_of(), None, "gaussian", *SHARED, seed=0, device="cpu")
    assert not metrics["available"]
    assert "no labels" in metrics["reason"]
