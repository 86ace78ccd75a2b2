from typing import Any

import pytest

from irp_kedro.detectors.differnet import DifferNet
from irp_kedro.errors import ParameterError
from irp_kedro.parameters import (
    CalibrationParameters,
    FlowParameters,
    PatchParameters,
    RefinementParameters,
    TrainingParameters,
    ViewParameters,
)
from irp_kedro.pipelines.calibration.nodes import calibrate_threshold

VIEWS = ViewParameters(bank=1, train=1, score=1)


def loop(threshold: str = "mad") -> tuple[Any, ...]:
    """Return what the node is told of the loop, beside its images: a held-out Gaussian judges the flow's."""
    rule = RefinementParameters(
        max_cycles=2,
        folds=3,
        judge=("gaussian",),
        threshold=threshold,
        restore=False,
        reference=1.0,
        max_removed_per_cycle=0.1,
    )
    return ("differnet", rule, TrainingParameters(), FlowParameters(), VIEWS, PatchParameters(), "cpu")


@pytest.mark.parametrize(("threshold", "factor"), [("mad", "mad_factor"), ("false_discovery", "tail_factor")])
def test_the_smallest_factor_within_the_target_is_chosen(
    threshold: str, factor: str, manifest_of: Any, bank_of: Any, no_patches: Any
) -> None:
    clean = manifest_of(*[("train", "normal", "")] * 24)
    asked = CalibrationParameters(factors=(0.1, 1000.0), seeds=(0,), false_removal_rate=0.01)
    table = calibrate_threshold(clean, bank_of(clean), no_patches, None, asked, *loop(threshold))
    assert table["chosen"].tolist() == [False, True]
    assert table["false_removal_rate"].tolist()[0] > 0.05
    assert set(table["parameter"]) == {factor}


@pytest.mark.parametrize("label", ["anomalous", "unknown"])
def test_a_set_not_known_to_be_clean_is_refused(manifest_of: Any, label: str) -> None:
    training = manifest_of(("train", "normal", ""), ("train", label, ""))
    with pytest.raises(ParameterError, match="known to be clean"):
        calibrate_threshold(training, None, None, None, CalibrationParameters(), *loop())


def test_beside_a_held_out_judge_nothing_else_is_trained(
    manifest_of: Any, bank_of: Any, no_patches: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(*_: object, **__: object) -> None:
        raise AssertionError("the flow was trained, though it decides nothing")

    monkeypatch.setattr(DifferNet, "fit", fit)
    clean = manifest_of(*[("train", "normal", "")] * 12)
    asked = CalibrationParameters(factors=(1000.0,), seeds=(0, 1))
    assert len(calibrate_threshold(clean, bank_of(clean), no_patches, None, asked, *loop())) == 1
