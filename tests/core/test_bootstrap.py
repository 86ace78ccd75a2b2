import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score
from sklearn.metrics import roc_curve as sklearn_roc_curve

from irp_kedro.core.bootstrap import METRICS, intervals, weighted_metrics

some_scores = st.lists(st.integers(-5, 5), min_size=1, max_size=20)


@given(some_scores, some_scores, st.integers(-6, 6), st.randoms(use_true_random=False))
def test_metrics_of_a_resample_are_scikit_learns_ties_included(
    normal: list[int], bad: list[int], threshold: int, random: object
) -> None:
    rng = np.random.default_rng(len(normal) * 100 + len(bad))
    drawn = [rng.choice(len(normal), len(normal)), rng.choice(len(bad), len(bad))]
    weights = np.concatenate(
        [np.bincount(x, minlength=len(y)) for x, y in zip(drawn, (normal, bad), strict=True)]
    )
    scores = np.array([*normal, *bad], dtype=float)
    found = weighted_metrics(scores, weights[None].astype(float), len(normal), threshold)
    resampled = np.repeat(scores, weights)
    labels = np.repeat([0] * len(normal) + [1] * len(bad), weights)
    fpr, tpr, _ = sklearn_roc_curve(labels, resampled)
    expected = {
        "image_auroc": roc_auc_score(labels, resampled),
        "average_precision": average_precision_score(labels, resampled),
        "f1": f1_score(labels, resampled > threshold),
        "false_alarm_rate": (resampled[labels == 0] > threshold).mean(),
        "fpr_at_95_tpr": fpr[tpr >= 0.95].min(),
    }
    assert {name: float(found[name][0]) for name in METRICS} == pytest.approx(expected)


def test_a_large_set_is_resampled_in_parts_and_gives_what_one_part_gives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scores, bad = np.random.default_rng(0).normal(size=50), np.arange(50) % 3 == 0
    whole = intervals(scores, bad, threshold=0.0, samples=40, seed=1)
    monkeypatch.setattr("irp_kedro.core.bootstrap.AT_ONCE", 350)
    assert intervals(scores, bad, threshold=0.0, samples=40, seed=1) == whole


def test_no_resample_no_interval() -> None:
    found = intervals(np.array([1.0, 2.0]), np.array([False, True]), threshold=1.5, samples=0, seed=0)
    assert found == dict.fromkeys(METRICS)
