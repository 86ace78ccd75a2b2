import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from irp_kedro.core.bootstrap import METRICS
from irp_kedro.core.detection_metrics import TYPE_COLUMNS, by_defect_type, image_metrics, roc_curve


def metrics(scores: list[float], anomalous: list[int], **changes: Any) -> dict[str, Any]:
    asked = {"threshold": 2.5, "bootstrap_samples": 200, "seed": 0, **changes}
    return image_metrics(np.array(scores, dtype=float), np.array(anomalous, dtype=bool), **asked)


def test_image_metrics_of_four_images_by_hand() -> None:
    found = metrics([1, 3, 2, 4], [0, 0, 1, 1])
    assert found["image_auroc"] == 0.75  # 3 of 4 pairs in order
    assert found["average_precision"] == pytest.approx((1 + 2 / 3) / 2)
    assert found["f1"] == 0.5  # one hit, one false alarm, one miss
    assert found["false_alarm_rate"] == 0.5
    assert (found["n_normal"], found["n_anomalous"], found["threshold"]) == (2, 2, 2.5)


@given(st.integers(0, 10_000))
def test_the_interval_contains_the_auroc(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = [*rng.normal(0, 1, 40), *rng.normal(1, 1, 25)]
    found = metrics(scores, [0] * 40 + [1] * 25, seed=seed)
    low, high = found["image_auroc_interval"]
    assert 0 <= low <= found["image_auroc"] <= high <= 1
    assert high - low < 0.5


def test_perfect_scores_leave_the_interval_no_width() -> None:
    assert metrics([1, 2, 8, 9], [0, 0, 1, 1])["image_auroc_interval"] == [1.0, 1.0]


def test_more_images_narrow_the_interval() -> None:
    few = metrics([1, 3, 2, 4], [0, 0, 1, 1])["image_auroc_interval"]
    many = metrics([1, 3, 2, 4] * 50, [0, 0, 1, 1] * 50)["image_auroc_interval"]
    assert many[1] - many[0] < few[1] - few[0]


def test_the_interval_is_repeatable_by_its_seed() -> None:
    scores, labels = list(np.random.default_rng(1).random(40)), [0, 1] * 20
    assert metrics(scores, labels, seed=1) == metrics(scores, labels, seed=1)
    assert metrics(scores, labels, seed=1) != metrics(scores, labels, seed=2)


def test_no_bootstrap_leaves_the_interval_out() -> None:
    found = metrics([1, 3, 2, 4], [0, 0, 1, 1], bootstrap_samples=0)
    assert found["image_auroc_interval"] is None
    assert found["image_auroc"] == 0.75


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_alone_has_counts_and_nothing_else(label: int) -> None:
    found = metrics([1, 2, 3], [label] * 3)
    assert found["n_anomalous"] == 3 * label
    defined = {key for key, value in found.items() if value is not None}
    assert defined == {"n_normal", "n_anomalous", "threshold"}
    assert found.keys() == metrics([1, 2, 3], [0, 1, 1]).keys()


def test_image_metrics_are_plain_json() -> None:
    found = metrics([1, 3, 2, 4], [0, 0, 1, 1])
    assert json.loads(json.dumps(found)) == found


def test_false_alarms_at_95_percent_found_are_counted_where_the_last_but_one_defect_in_twenty_is_found() -> (
    None
):
    # 20 defects at 1 to 20; 19 of them are found at 2. Two of four good images lie at or above it.
    found = metrics([0, 1.5, 2, 9, *range(1, 21)], [0] * 4 + [1] * 20)
    assert found["fpr_at_95_tpr"] == 0.5


def test_every_metric_lies_within_its_interval() -> None:
    rng = np.random.default_rng(0)
    found = metrics([*rng.normal(0, 1, 60), *rng.normal(1, 1, 40)], [0] * 60 + [1] * 40, threshold=0.5)
    for name in METRICS:
        low, high = found[f"{name}_interval"]
        assert low <= found[name] <= high, name


def test_the_roc_curve_goes_from_nothing_flagged_to_everything() -> None:
    curve = roc_curve(np.array([1.0, 3.0, 2.0, 4.0]), np.array([False, False, True, True]))
    assert curve[["fpr", "tpr"]].to_numpy().tolist() == [[0, 0], [0, 0.5], [0.5, 0.5], [0.5, 1], [1, 1]]


def test_one_class_alone_has_no_roc_curve() -> None:
    assert roc_curve(np.array([1.0, 2.0]), np.array([True, True])).empty


def types(tested: list[tuple[float, str]], training: list[tuple[str, bool]]) -> pd.DataFrame:
    def table(rows: list[tuple[Any, ...]], *columns: str) -> pd.DataFrame:
        frame = pd.DataFrame(rows, columns=list(columns))
        return frame.assign(label=np.where(frame["defect_type"] == "", "normal", "anomalous"))

    return by_defect_type(
        table(tested, "score", "defect_type"),
        table(training, "defect_type", "removed"),
        threshold=2.5,
        bootstrap_samples=20,
        seed=0,
    )


def test_each_type_of_defect_is_held_against_all_good_images() -> None:
    tested = [(1.0, ""), (3.0, ""), (2.0, "dent"), (4.0, "scratch")]
    training = [("", False), ("dent", True), ("dent", False), ("scratch", True)]
    table = types(tested, training).set_index("defect_type")
    assert table["image_auroc"].to_dict() == {"dent": 0.5, "scratch": 1.0}
    assert table["found"].to_dict() == {"dent": 0.0, "scratch": 1.0}
    assert table[["injected", "removed"]].to_numpy().tolist() == [[2, 1], [1, 1]]


def test_a_type_that_was_only_injected_has_no_auroc() -> None:
    table = types([(1.0, ""), (2.0, "dent")], [("", False), ("stain", True)]).set_index("defect_type")
    assert pd.isna(table.loc["stain", "image_auroc"])
    assert table.loc["stain", "removed"] == 1


def test_without_defects_there_are_no_types_but_the_columns_stand() -> None:
    assert tuple(types([(1.0, "")], [("", False)]).columns) == TYPE_COLUMNS
