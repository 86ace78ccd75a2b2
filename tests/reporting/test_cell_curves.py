import numpy as np
import pandas as pd
import pytest

from irp_kedro.core.detection_metrics import ENOUGH, image_metrics, roc_curve
from irp_kedro.reporting.cell_curves import MOST_POINTS, fpr_at_95_tpr, roc_curves

CURVE = pd.DataFrame({"fpr": [0.0, 0.0, 0.2, 0.2, 1.0], "tpr": [0.0, 0.5, 0.5, 0.96, 1.0]})
IMAGES = {
    "vanilla": {"fpr_at_95_tpr": 0.2, "fpr_at_95_tpr_interval": [0.1, 0.4]},
    "oracle": {"fpr_at_95_tpr": 0.2, "fpr_at_95_tpr_interval": None},
}


def test_a_strategy_without_a_curve_is_left_out() -> None:
    (panel,) = roc_curves({"vanilla": CURVE, "one_shot_removal": CURVE.iloc[:0]}).panels
    assert [series.name for series in panel.series] == ["vanilla"]
    assert panel.limits[0].value == 0.95


def test_the_crossing_is_marked_and_its_share_stands_beside_it_with_the_interval() -> None:
    curves, values = fpr_at_95_tpr({"vanilla": CURVE, "oracle": CURVE}, IMAGES).panels
    marks = [series for series in curves.series if series.kind == "points"]
    assert [(series.name, list(series.x), list(series.y)) for series in marks] == [
        ("vanilla", [0.2], [0.96]),
        ("oracle", [0.2], [0.96]),
    ]
    assert curves.y_range is not None
    assert curves.y_range[0] == 0.9
    assert [(list(item.y), list(item.low), list(item.high)) for item in values.series] == [
        ([0.2], [0.1], [0.4]),
        ([0.2], [], []),
    ]
    assert values.x_names == ("vanilla", "oracle")


def test_the_mark_lies_on_the_curve_that_was_measured() -> None:
    rng = np.random.default_rng(0)
    anomalous = np.arange(400) < 100
    scores = rng.normal(size=400) + anomalous
    image = image_metrics(scores, anomalous, threshold=0.5, bootstrap_samples=20, seed=0)
    curve = roc_curve(scores, anomalous)
    chart = fpr_at_95_tpr({"vanilla": curve}, {"vanilla": image})
    (mark,) = [series for series in chart.panels[0].series if series.kind == "points"]
    assert ((curve["fpr"] == mark.x[0]) & (curve["tpr"] == mark.y[0])).any()
    assert mark.y[0] >= ENOUGH


def test_without_labels_there_is_no_panel() -> None:
    assert fpr_at_95_tpr({"vanilla": CURVE.iloc[:0]}, {"vanilla": {"labels_known": False}}).panels == ()
    assert fpr_at_95_tpr({"oracle": CURVE.iloc[:0]}, {"oracle": {}}).panels == ()


def test_a_curve_of_a_large_set_is_thinned_without_moving() -> None:
    x = np.linspace(0, 1, 20_001)
    curve = pd.DataFrame({"fpr": x, "tpr": np.sqrt(x)})
    (panel,) = roc_curves({"vanilla": curve}).panels
    (shown,) = panel.series
    assert len(shown.x) <= MOST_POINTS
    assert (shown.x[0], shown.y[-1]) == (0.0, 1.0)
    assert min(y for y in shown.y if y >= ENOUGH) == curve.loc[curve["tpr"] >= ENOUGH, "tpr"].min()
    assert np.abs(np.interp(x, list(shown.x), list(shown.y)) - np.sqrt(x)).max() == pytest.approx(0, abs=0.01)
