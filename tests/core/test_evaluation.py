import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from irp_kedro.core.evaluation import (
    audit_removals,
    label_free_threshold,
    last_judges,
    rank_by_suspicion,
    removal_metrics,
    removed_ids,
)
from irp_kedro.core.records import LOG_COLUMNS

some_scores = st.lists(st.integers(-5, 5), min_size=1, max_size=20)


def training(**labels: str) -> pd.DataFrame:
    """Return a manifest of images with the given labels."""
    return pd.DataFrame(
        {
            "image_id": list(labels),
            "path": [f"{name}.png" for name in labels],
            "digest": [name * 2 for name in labels],
            "label": list(labels.values()),
            "defect_type": ["dent" if label == "anomalous" else "" for label in labels.values()],
        }
    )


def log(*rows: tuple[str, str, float]) -> pd.DataFrame:
    """Return a removal log of (action, image, score), one cycle a row."""
    table = [
        {**dict.fromkeys(LOG_COLUMNS, ""), "cycle": i, "action": action, "image_id": image, "score": score}
        for i, (action, image, score) in enumerate(rows, start=1)
    ]
    return pd.DataFrame(table, columns=list(LOG_COLUMNS))


# Ranked d, b, c, a: the first two left; d and c are defects.
LABELS = {"a": "normal", "b": "normal", "c": "anomalous", "d": "anomalous"}
LOG = log(("removed", "d", 5.0), ("removed", "b", 4.0))
LAST = {"a": 1.0, "b": 4.0, "c": 2.0}


def suspicion(labels: dict[str, str] | None = None) -> pd.DataFrame:
    return rank_by_suspicion(LOG, training(**(labels or LABELS)), LAST)


@given(some_scores, st.sampled_from([0.05, 0.1, 0.5]))
def test_no_more_training_images_than_the_false_alarm_rate_exceed_the_threshold(
    scores: list[int], rate: float
) -> None:
    values = np.array(scores, dtype=float)
    assert (values > label_free_threshold(values, false_alarm_rate=rate)).sum() <= np.ceil(rate * len(values))


def test_the_last_decision_on_an_image_says_who_judged_it() -> None:
    history = log(("removed", "a", 5.0), ("removed", "b", 4.0), ("restored", "a", 1.0))
    history["judge"] = ["one", "one", "other"]
    assert last_judges(history) == {"a": "other", "b": "one"}


def test_the_removed_come_first_in_the_order_they_left_then_the_rest_by_score() -> None:
    table = suspicion()
    assert table["image_id"].tolist() == ["d", "b", "c", "a"]
    assert table["rank"].tolist() == [1, 2, 3, 4]
    assert table["removed"].tolist() == [True, True, False, False]
    assert table["score"].tolist() == [5.0, 4.0, 2.0, 1.0]
    assert table["path"].tolist() == ["d.png", "b.png", "c.png", "a.png"]


def test_a_restored_image_is_back_among_those_that_stayed() -> None:
    history = log(("removed", "d", 5.0), ("removed", "b", 4.0), ("restored", "d", 3.0), ("removed", "d", 6.0))
    assert removed_ids(history) == ["b", "d"]
    assert removed_ids(history.iloc[:3]) == ["b"]
    table = rank_by_suspicion(history.iloc[:3], training(**LABELS), {**LAST, "d": 3.0})
    assert table["image_id"].tolist() == ["b", "d", "c", "a"]
    assert table["score"].tolist() == [4.0, 3.0, 2.0, 1.0]


def test_without_removals_the_ranking_goes_by_score_alone() -> None:
    table = rank_by_suspicion(log(), training(**LABELS), {**LAST, "d": 3.0})
    assert table["image_id"].tolist() == ["b", "d", "c", "a"]
    assert not table["removed"].any()


def test_removals_of_four_images_by_hand() -> None:
    found = removal_metrics(suspicion())
    expected = {"n_images": 4, "n_removed": 2, "bad_removed": 1, "good_removed": 1, "bad_left": 1}
    assert {key: found[key] for key in expected} == expected
    assert (found["precision"], found["recall"], found["false_removal_rate"]) == (0.5, 0.5, 0.5)
    # Defects stand first and third: the mean of 1/1 and 2/3.
    assert found["ranking_average_precision"] == pytest.approx(5 / 6)


def test_a_value_without_denominator_is_none() -> None:
    clean = removal_metrics(suspicion(dict.fromkeys("abcd", "normal")))
    assert (clean["recall"], clean["ranking_average_precision"]) == (None, None)
    assert (clean["precision"], clean["false_removal_rate"]) == (0.0, 0.5)
    nobody_left = removal_metrics(suspicion().assign(removed=False))
    assert (nobody_left["precision"], nobody_left["recall"]) == (None, 0.0)
    only_bad = removal_metrics(suspicion(dict.fromkeys("abcd", "anomalous")))
    assert only_bad["false_removal_rate"] is None


def test_one_unknown_label_leaves_the_counts_only() -> None:
    found = removal_metrics(suspicion({**LABELS, "a": "unknown"}))
    assert found == {
        "n_images": 4,
        "n_removed": 2,
        "n_doubtful": 0,
        "n_variants": 0,
        "labels_known": False,
    }


def test_images_in_doubt_are_counted_and_have_not_left() -> None:
    ranked = rank_by_suspicion(LOG, training(**LABELS), LAST, doubtful=["c", "a"])
    assert ranked["doubtful"].tolist() == [False, False, True, True]  # ranked d, b, c, a
    found = removal_metrics(ranked)
    assert (found["n_doubtful"], found["bad_doubtful"], found["bad_left"]) == (2, 1, 1)
    undoubted = removal_metrics(suspicion())
    assert {**found, "n_doubtful": 0, "bad_doubtful": 0} == undoubted


def test_images_of_a_variant_are_counted_and_have_not_left() -> None:
    ranked = rank_by_suspicion(LOG, training(**LABELS), LAST, variants=["c", "a"])
    assert ranked["variant"].tolist() == [False, False, True, True]
    found = removal_metrics(ranked)
    assert (found["n_variants"], found["bad_variants"], found["bad_left"]) == (2, 1, 1)
    assert {**found, "n_variants": 0, "bad_variants": 0} == removal_metrics(suspicion())


def test_the_audit_is_the_log_with_labels_and_the_ranking_quality() -> None:
    audit = audit_removals(LOG, suspicion())
    assert tuple(audit.columns[: len(LOG_COLUMNS)]) == LOG_COLUMNS
    assert audit["label"].tolist() == ["anomalous", "normal"]
    assert audit["defect_type"].tolist() == ["dent", ""]
    assert audit["ranking_average_precision"].tolist() == pytest.approx([5 / 6, 5 / 6])


def test_an_audit_without_labels_has_no_ranking_quality() -> None:
    audit = audit_removals(LOG, suspicion(dict.fromkeys("abcd", "unknown")))
    assert audit["label"].tolist() == ["unknown", "unknown"]
    assert audit["ranking_average_precision"].isna().all()


def test_an_empty_log_has_an_empty_audit() -> None:
    table = rank_by_suspicion(log(), training(**LABELS), {**LAST, "d": 3.0})
    audit = audit_removals(log(), table)
    assert audit.empty
    assert {"label", "defect_type", "ranking_average_precision"} <= set(audit.columns)
