from typing import Any

import pytest

from irp_kedro.detectors.differnet import DifferNet
from irp_kedro.errors import ParameterError
from irp_kedro.parameters import (
    CalibrationParameters,
    FlowParameters,
    RefinementParameters,
    TrainingParameters,
    ViewParameters,
)
from irp_kedro.pipelines.calibration.nodes import calibrate_threshold

VIEWS = ViewParameters(bank=1, train=1, score=1)
RULE = RefinementParameters(max_cycles=2, folds=3)
SHARED = ("differnet", RULE, TrainingParameters(), FlowParameters(), VIEWS, "cpu")


def test_the_smallest_factor_within_the_target_is_chosen(manifest_of: Any, bank_of: Any) -> None:
    clean = manifest_of(*[("train", "normal", "")] * 24)
    asked = CalibrationParameters(factors=(0.1, 1000.0), seeds=(0,), false_removal_rate=0.01)
    table = calibrate_threshold(clean, bank_of(clean), asked, *SHARED)
    assert table["chosen"].tolist() == [False, True]
    assert table["false_removal_rate"].tolist()[0] > 0.05
    assert set(table["parameter"]) == {"mad_factor"}


@pytest.mark.parametrize("label", ["anomalous", "unknown"])
def test_a_set_not_known_to_be_clean_is_refused(manifest_of: Any, label: str) -> None:
    training = manifest_of(("train", "normal", ""), ("train", label, ""))
    with pytest.raises(ParameterError, match="known to be clean"):
        calibrate_threshold(training, None, CalibrationParameters(), *SHARED)


def test_beside_a_held_out_judge_nothing_else_is_trained(
    manifest_of: Any, bank_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(*_: object, **__: object) -> None:
        raise AssertionError("the flow was trained, though it decides nothing")

    monkeypatch.setattr(DifferNet, "fit", fit)
    clean = manifest_of(*[("train", "normal", "")] * 12)
    asked = CalibrationParameters(factors=(1000.0,), seeds=(0, 1))
    assert len(calibrate_threshold(clean, bank_of(clean), asked, *SHARED)) == 1
