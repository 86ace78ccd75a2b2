from typing import Any

import pytest

from irp_kedro.parameters import (
    EvaluationParameters,
    FlowParameters,
    PatchParameters,
    RefinementParameters,
    TrainingParameters,
    ViewParameters,
)
from irp_kedro.pipelines.oracle.nodes import train_on_clean_set

VIEWS = ViewParameters(bank=1, train=1, score=1)
SHARED = (
    RefinementParameters(),
    TrainingParameters(),
    FlowParameters(),
    VIEWS,
    PatchParameters(),
    EvaluationParameters(),
)


def test_no_defect_is_in_the_oracle_s_training_set(manifest_of: Any, bank_of: Any, no_patches: Any) -> None:
    training = manifest_of(*[("train", "normal", "")] * 12, ("train", "anomalous", "dent"))
    test = training.iloc[[0, 12]].assign(split="test")
    bank = bank_of(training, odd=12)
    metrics, curve = train_on_clean_set(
        training, test, bank, no_patches, "gaussian", *SHARED, seed=0, device="cpu"
    )
    assert metrics["available"]
    assert metrics["n_training"] == 12
    assert metrics["image"]["image_auroc"] == 1.0
    assert curve[["fpr", "tpr"]].to_numpy().tolist() == [[0.0, 0.0], [0.0, 1.0], [1.0, 1.0]]


def test_without_labels_there_is_no_oracle_and_it_says_why(manifest_of: Any) -> None:
    training = manifest_of(*[("train", "unknown", "")] * 3)
    metrics, curve = train_on_clean_set(
        training, manifest_of(), None, None, "gaussian", *SHARED, seed=0, device="cpu"
    )
    assert not metrics["available"]
    assert "no labels" in metrics["reason"]
    assert curve.empty


def test_the_oracle_is_the_same_however_contaminated_the_set_is(
    manifest_of: Any, bank_of: Any, no_patches: Any
) -> None:
    everything = manifest_of(*[("train", "normal", "")] * 12, *[("train", "anomalous", "dent")] * 3)
    test, bank = everything.iloc[[0, 5, 14]].assign(split="test"), bank_of(everything)
    few, many = (
        train_on_clean_set(
            everything.iloc[:rows], test, bank, no_patches, "gaussian", *SHARED, seed=0, device="cpu"
        )[0]
        for rows in (12, 14)
    )
    assert few["image"] == many["image"]
    assert few["n_training"] == many["n_training"] == 12


def test_the_log_calls_the_oracle_by_its_name(
    manifest_of: Any, bank_of: Any, no_patches: Any, caplog: pytest.LogCaptureFixture
) -> None:
    training = manifest_of(*[("train", "normal", "")] * 12)
    bank = bank_of(training)
    with caplog.at_level("INFO"):
        train_on_clean_set(training, training, bank, no_patches, "gaussian", *SHARED, seed=0, device="cpu")
    assert "oracle, cycle 0" in caplog.text
    assert "vanilla" not in caplog.text
