import pandas as pd
import pytest

from irp_kedro.core.refinement import RefinementCycle
from irp_kedro.reporting.cell_figures import (
    MOST_OF_ALL,
    scores_by_cycle,
    strategies_compared,
    test_score_distribution,
    training_curves,
)

# pytest would take the last but one for a test of its own.
test_score_distribution.__test__ = False  # type: ignore[attr-defined]


def cycle(
    number: int, judged: dict[str, float], losses: tuple[float, ...] = (), epochs: int = 0
) -> RefinementCycle:
    return RefinementCycle(
        cycle=number,
        kept=(),
        judged=judged,
        threshold=5.0 if judged else None,
        losses=losses,
        epochs=epochs,
        final_scores={},
    )


JUDGED = {f"id{number}": float(number) for number in range(100)}
CYCLES = [cycle(0, {}), cycle(1, JUDGED, (2.0, 1.5), 2), cycle(2, JUDGED, (1.0,), 3)]


def test_losses_stand_at_the_epochs_they_were_measured_in() -> None:
    (panel,) = training_curves(
        {"vanilla": [cycle(0, {}, (3.0, 2.0, 1.0), 3)], "iterative_refinement": CYCLES}
    ).panels
    shown = {series.name: (list(series.x), list(series.y)) for series in panel.series}
    assert shown["vanilla"] == ([1, 2, 3], [3.0, 2.0, 1.0])
    assert shown["iterative refinement"] == ([1, 2, 3], [2.0, 1.5, 1.0])


def test_more_and_shorter_epochs_end_where_as_many_images_have_passed() -> None:
    # With images in doubt four short epochs see as many images as two over all of the set.
    short = [cycle(0, {}), cycle(1, JUDGED, (2.0,), 1), cycle(2, JUDGED, (1.9, 1.8, 1.7, 1.6), 3)]
    (panel,) = training_curves({"iterative_refinement": short}).panels
    assert list(panel.series[0].x) == [1.0, 1.5, 2.0, 2.5, 3.0]
    assert list(panel.series[0].y) == [2.0, 1.9, 1.8, 1.7, 1.6]


def test_the_bulk_of_the_scores_is_a_range_and_the_highest_are_points_by_label() -> None:
    labels = {"id99": "anomalous"} | {f"id{number}": "normal" for number in range(99)}
    (panel,) = scores_by_cycle(CYCLES, labels, "iterative_refinement").panels
    shown = {series.name: series for series in panel.series}
    assert list(shown["middle half"].low) == pytest.approx([24.75, 24.75])
    assert list(shown["defect"].y) == [99.0, 99.0]
    assert sorted(shown["good image"].y) == [95.0, 95.0, 96.0, 96.0, 97.0, 97.0, 98.0, 98.0]
    assert list(shown["threshold"].y) == [5.0, 5.0]
    assert shown["defect"].symbol != shown["good image"].symbol


def test_a_far_outlier_makes_the_scale_logarithmic_where_scores_are_positive() -> None:
    far, negative = {"a": 1.0, "b": 2.0, "c": 90.0}, {"a": -1.0, "b": 2.0, "c": 90.0}
    assert [scores_by_cycle([cycle(1, judged)], {}, "x").panels[0].y_log for judged in (far, negative)] == [
        True,
        False,
    ]
    assert not scores_by_cycle([cycle(1, {"a": 1.0, "b": 6.0})], {}, "x").panels[0].y_log


def test_without_labels_the_highest_are_images_and_nothing_more() -> None:
    (panel,) = scores_by_cycle(CYCLES, dict.fromkeys(JUDGED, "unknown"), "iterative_refinement").panels
    assert [series.name for series in panel.series if series.kind == "points"] == ["image"]


def test_many_cycles_show_few_points_each() -> None:
    judged = {f"id{number}": float(number) for number in range(2000)}
    (panel,) = scores_by_cycle([cycle(number, judged) for number in range(1, 301)], {}, "x").panels
    (points,) = [series for series in panel.series if series.kind == "points"]
    assert len(points.x) == MOST_OF_ALL
    assert set(points.y) == {1999.0, 1998.0, 1997.0, 1996.0, 1995.0}


def test_where_nobody_judged_the_chart_is_empty_but_whole() -> None:
    (panel,) = scores_by_cycle([cycle(0, {})], {}, "vanilla").panels
    assert all(not len(series.x) for series in panel.series)


def test_test_images_are_counted_by_score_and_label_beside_the_threshold() -> None:
    table = pd.DataFrame(
        {"score": [0.0, 0.1, 1.0], "threshold": 0.5, "label": ["normal", "normal", "anomalous"]}
    )
    (panel,) = test_score_distribution({"vanilla": table, "one_shot_removal": table.iloc[:0]}).panels
    assert {series.name: sum(series.y) for series in panel.series} == {"good image": 2, "defect": 1}
    assert panel.limits[0].value == 0.5


def test_strategies_stand_side_by_side_with_their_intervals() -> None:
    summary = pd.DataFrame(
        {
            "strategy": ["vanilla", "oracle", "one_shot_removal"],
            "image_auroc": [0.7, 0.9, float("nan")],
            "image_auroc_low": [0.6, float("nan"), float("nan")],
            "image_auroc_high": [0.8, float("nan"), float("nan")],
        }
    )
    (panel,) = strategies_compared(summary).panels
    assert panel.x_names == ("vanilla", "oracle")
    assert [list(series.low) for series in panel.series] == [[0.6], []]
