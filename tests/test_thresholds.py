from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from irp_kedro.features.bank import FeatureBank
from irp_kedro.judges import LoopSettings
from irp_kedro.measuring_parameters import EvaluationParameters
from irp_kedro.parameters import FlowParameters, RefinementParameters, TrainingParameters, ViewParameters
from irp_kedro.strategies import CycleResult, run_strategy
from irp_kedro.thresholds import SettledThreshold, settle_threshold

N_IMAGES, N_NEW, N_FEATURES = 40, 400, 24
SETTINGS = LoopSettings(
    detector="gaussian",
    refinement=RefinementParameters(),
    training=TrainingParameters(epochs=4),
    flow=FlowParameters(blocks=2, hidden=16),
    views=ViewParameters(bank=1, train=1, score=1),
    seed=0,
    device="cpu",
)


@pytest.fixture(scope="module")
def manifest() -> pd.DataFrame:
    numbers = range(N_IMAGES + N_NEW)
    return pd.DataFrame({"image_id": [f"id{n}" for n in numbers], "digest": [f"{n:032x}" for n in numbers]})


@pytest.fixture(scope="module")
def bank(manifest: pd.DataFrame, keep_features: Any) -> FeatureBank:
    """Few good images with many features: a detector that has seen them takes them to be far more usual."""
    features = np.random.default_rng(0).normal(size=(len(manifest), 1, N_FEATURES))
    return keep_features(list(manifest["digest"]), features)


@pytest.fixture(scope="module")
def last(manifest: pd.DataFrame, bank: FeatureBank) -> CycleResult:
    *_, last = run_strategy("vanilla", manifest.iloc[:N_IMAGES], bank, SETTINGS)
    return last


def settle(last: CycleResult, manifest: pd.DataFrame, bank: FeatureBank, **evaluation: Any) -> SettledThreshold:
    asked = EvaluationParameters(**{"false_alarm_rate": 0.1, **evaluation})
    return settle_threshold(last, manifest.iloc[:N_IMAGES], bank, SETTINGS, asked)


def false_alarms(settled: SettledThreshold, manifest: pd.DataFrame, bank: FeatureBank) -> float:
    from irp_kedro.strategies import score_images

    new = list(manifest["digest"].iloc[N_IMAGES:])
    scores = score_images(settled.model, bank, new, "cpu")
    return float((scores > settled.model.config["threshold"]).mean())


def test_new_good_images_are_flagged_far_less_often_at_a_held_out_threshold(
    last: CycleResult, manifest: pd.DataFrame, bank: FeatureBank
) -> None:
    seen = settle(last, manifest, bank, threshold_scores="in_sample")
    held_out = settle(last, manifest, bank)
    assert false_alarms(seen, manifest, bank) > 0.3
    assert false_alarms(held_out, manifest, bank) < 0.15


def test_the_threshold_is_the_chosen_quantile_of_the_images_that_were_held_out(
    last: CycleResult, manifest: pd.DataFrame, bank: FeatureBank
) -> None:
    settled = settle(last, manifest, bank, held_out_fraction=0.25)
    assert len(settled.scores) == settled.record["n_images"] == N_IMAGES // 4
    assert settled.record["threshold"] == pytest.approx(np.quantile(settled.scores["score"], 0.9))
    assert settled.model.config["threshold"] == settled.record["threshold"]
    assert set(settled.scores["image_id"]) <= set(last.record.kept)


def test_an_image_that_left_the_set_has_no_part_in_the_threshold(
    last: CycleResult, manifest: pd.DataFrame, bank: FeatureBank
) -> None:
    more = settle_threshold(last, manifest, bank, SETTINGS, EvaluationParameters(false_alarm_rate=0.1))
    pd.testing.assert_frame_equal(more.scores, settle(last, manifest, bank).scores)


def test_the_same_seed_gives_the_same_threshold_and_names_do_not_matter(
    last: CycleResult, manifest: pd.DataFrame, bank: FeatureBank
) -> None:
    first = settle(last, manifest, bank)
    backwards = manifest.iloc[:N_IMAGES][::-1]
    second = settle_threshold(last, backwards, bank, SETTINGS, EvaluationParameters(false_alarm_rate=0.1))
    assert first.record["threshold"] == second.record["threshold"]


def test_a_few_images_cannot_be_parted_and_score_themselves(manifest: pd.DataFrame, bank: FeatureBank) -> None:
    few = manifest.iloc[:5]
    *_, last = run_strategy("vanilla", few, bank, SETTINGS)
    settled = settle_threshold(last, few, bank, SETTINGS, EvaluationParameters())
    assert (settled.record["scores"], settled.record["n_images"]) == ("in_sample", 5)


def test_images_in_doubt_are_held_out_like_others_and_not_learnt_from(
    last: CycleResult, manifest: pd.DataFrame, bank: FeatureBank
) -> None:
    in_doubt = last.record.kept[:10]
    doubted = settle(replace(last, record=replace(last.record, doubtful=in_doubt)), manifest, bank)
    trusted = settle(last, manifest, bank)
    assert list(doubted.scores["image_id"]) == list(trusted.scores["image_id"])
    assert set(doubted.scores["image_id"]) & set(in_doubt)
    # Fewer images to learn from: the others are taken for less usual.
    assert doubted.record["threshold"] > trusted.record["threshold"]
