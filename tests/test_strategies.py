import hashlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from irp_kedro import strategies
from irp_kedro.core.detector import BlindSet
from irp_kedro.datasets.model import read_model, write_model
from irp_kedro.detectors.differnet import DifferNet
from irp_kedro.errors import IncompleteRunError, ParameterError, ThresholdUndefinedError
from irp_kedro.features.bank import FeatureBank
from irp_kedro.judges import LoopSettings
from irp_kedro.parameters import (
    STRATEGIES,
    FlowParameters,
    RefinementParameters,
    Strategy,
    TrainingParameters,
    ViewParameters,
)
from irp_kedro.strategies import CycleResult, ResumePoint, run_strategy, score_images

N_NORMAL, N_ODD = 44, 6
RULE: dict[str, Any] = {
    "judge": "gaussian",
    "scoring": "held_out",
    "folds": 3,
    "threshold": "mad",
    "restore": False,
    "reference": 1.0,
    "doubt": 1.0,
    "max_removed_per_cycle": 0.1,
    "judge_epochs": 1,
    "pretrain_epochs": 1,
    "epochs_per_cycle": 1,
    "max_cycles": 3,
    "patience": 2,
}


@pytest.fixture(scope="module")
def digests() -> list[str]:
    """The last six are those of the odd images."""
    numbers = range(N_NORMAL + N_ODD)
    return [hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest() for number in numbers]


@pytest.fixture(scope="module")
def bank(digests: list[str], keep_features: Any) -> FeatureBank:
    features = np.random.default_rng(0).normal(size=(len(digests), 2, 6))
    features[N_NORMAL:] += np.linspace(3, 6, N_ODD)[:, None, None]
    return keep_features(digests, features, together=20)


@pytest.fixture(scope="module")
def manifest(digests: list[str]) -> pd.DataFrame:
    names = [f"train/{number:03d}" for number in range(len(digests))]
    odd = [number >= N_NORMAL for number in range(len(digests))]
    return pd.DataFrame(
        {
            "image_id": names,
            "path": [f"{name}.png" for name in names],
            "label": np.where(odd, "anomalous", "normal"),
            "digest": digests,
        }
    )


def loop(*, detector: str = "differnet", seed: int = 0, **rule: Any) -> LoopSettings:
    return LoopSettings(
        detector=detector,
        refinement=RefinementParameters(**{**RULE, **rule}),
        training=TrainingParameters(batch_views=32, epochs=5),
        flow=FlowParameters(blocks=1, hidden=8, layers=1),
        views=ViewParameters(bank=2, train=1, score=2),
        seed=seed,
        device="cpu",
    )


def run(
    manifest: pd.DataFrame, bank: FeatureBank, strategy: Strategy = "iterative_refinement", **asked: Any
) -> list[CycleResult]:
    return list(run_strategy(strategy, manifest, bank, loop(**asked)))


def removed(cycles: list[CycleResult]) -> list[str]:
    return [decision.digest for result in cycles for decision in result.record.decisions]


def by_digest(cycles: list[CycleResult], manifest: pd.DataFrame) -> list[dict[str, Any]]:
    """All that a run decided, with every name replaced by the digest behind it."""
    digest_of = dict(zip(manifest["image_id"], manifest["digest"], strict=True))
    return [
        {
            "kept": [digest_of[name] for name in record.kept],
            "decided": [(one.action, one.digest, one.score) for one in record.decisions],
            "judged": [(digest_of[name], score) for name, score in record.judged.items()],
            "final": [(digest_of[name], score) for name, score in record.final_scores.items()],
            "threshold": repr(record.threshold),
            "losses": record.losses,
            "stop": record.stop,
        }
        for record in (result.record for result in cycles)
    ]


def renamed(manifest: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The same images under each other's names, in another order, with each other's labels."""
    rng = np.random.default_rng(seed)
    names = manifest["image_id"].to_numpy()[rng.permutation(len(manifest))]
    labels = manifest["label"].to_numpy()[rng.permutation(len(manifest))]
    other = manifest.assign(image_id=names, path=[f"defect/{name}.bmp" for name in names], label=labels)
    return other.iloc[rng.permutation(len(other))].reset_index(drop=True)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_names_row_order_and_labels_change_nothing(
    strategy: Strategy, seed: int, manifest: pd.DataFrame, bank: FeatureBank
) -> None:
    other = renamed(manifest, seed)
    plain, blind = run(manifest, bank, strategy), run(other, bank, strategy)
    assert by_digest(blind, other) == by_digest(plain, manifest)


@pytest.mark.parametrize(
    "rule",
    [
        {"judge": "differnet"},
        {"judge": "differnet", "scoring": "in_sample"},
        {"scoring": "in_sample"},
        {"policy": "worst_only"},
        {"detector": "gaussian"},
        {"restore": True, "reference": 0.75},
        {"judge": "isolation_forest+gaussian", "threshold": "false_discovery", "tail_factor": 0.3},
    ],
    ids=str,
)
def test_every_way_to_judge_is_blind(rule: dict[str, Any], manifest: pd.DataFrame, bank: FeatureBank) -> None:
    tight = {"mad_factor": 1.0, **rule}
    other = renamed(manifest, seed=7)
    plain, blind = run(manifest, bank, **tight), run(other, bank, **tight)
    assert removed(plain) != []
    assert by_digest(blind, other) == by_digest(plain, manifest)


def test_images_of_equal_bytes_do_not_break_blindness(manifest: pd.DataFrame, bank: FeatureBank) -> None:
    twins = manifest.iloc[[3, N_NORMAL + 5]].assign(image_id=["twin/a", "twin/b"], path=["a.png", "b.png"])
    doubled = pd.concat([manifest, twins], ignore_index=True)
    other = renamed(doubled, seed=2)
    plain, blind = run(doubled, bank), run(other, bank)
    assert by_digest(blind, other) == by_digest(plain, doubled)


def test_how_the_store_is_cut_into_shards_changes_nothing(
    manifest: pd.DataFrame, bank: FeatureBank, keep_features: Any
) -> None:
    backwards = list(reversed(bank.digests))
    other = keep_features(backwards, bank.read(backwards), together=7)
    assert by_digest(run(manifest, other), manifest) == by_digest(run(manifest, bank), manifest)


def test_the_odd_images_leave_and_few_others(
    manifest: pd.DataFrame, bank: FeatureBank, digests: list[str]
) -> None:
    left = removed(run(manifest, bank, max_removed_per_cycle=0.2))
    assert set(digests[N_NORMAL:]) <= set(left)
    assert len(left) <= N_ODD + 3


def test_another_seed_walks_another_way(manifest: pd.DataFrame, bank: FeatureBank) -> None:
    first, other = (run(manifest, bank, seed=seed)[-1].record for seed in (0, 1))
    assert not set(first.final_scores.values()) & set(other.final_scores.values())


def test_vanilla_trains_on_everything(manifest: pd.DataFrame, bank: FeatureBank) -> None:
    (only,) = run(manifest, bank, "vanilla")
    assert sorted(only.record.kept) == list(manifest["image_id"])
    assert only.record.judged == {}


def test_one_shot_removal_removes_in_one_cycle(manifest: pd.DataFrame, bank: FeatureBank) -> None:
    before, after = run(manifest, bank, "one_shot_removal")
    assert before.record.decisions == ()
    assert len(after.record.decisions) == after.record.above > 0


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_spends_the_same_epochs(
    strategy: Strategy, manifest: pd.DataFrame, bank: FeatureBank
) -> None:
    cycles = run(manifest, bank, strategy)
    assert cycles[-1].record.epochs == 5
    assert sum(len(result.record.losses) for result in cycles) == 5


@pytest.mark.parametrize("doubt", [1.0, 0.1])
def test_progress_is_told_in_images_and_comes_to_as_many_with_doubt_as_without(
    doubt: float, manifest: pd.DataFrame, bank: FeatureBank
) -> None:
    passed: list[int] = []
    settings = loop(pretrain_epochs=0, doubt=doubt)
    *_, last = run_strategy(
        "one_shot_removal", manifest, bank, settings, lambda _, n_images: passed.append(n_images)
    )
    record = last.record
    assert (len(passed) == 5) is (not record.doubtful) is (doubt == 1)
    assert sum(passed) == pytest.approx(5 * len(record.kept), abs=max(passed) / 2)


@pytest.mark.parametrize("detector", ["differnet", "gaussian"])
def test_the_last_cycle_carries_a_model_that_scores_as_the_loop_did(
    detector: str, manifest: pd.DataFrame, bank: FeatureBank, tmp_path: Path
) -> None:
    cycles = run(manifest, bank, detector=detector)
    assert [result.model is None for result in cycles] == [True] * (len(cycles) - 1) + [False]
    record = cycles[-1].record
    write_model(tmp_path / "model.safetensors", cycles[-1].trained)
    digest_of = dict(zip(manifest["image_id"], manifest["digest"], strict=True))
    kept = [digest_of[name] for name in record.kept]
    scores = score_images(read_model(tmp_path / "model.safetensors"), bank, kept, "cpu")
    np.testing.assert_array_equal(scores, list(record.final_scores.values()))


def test_a_cycle_before_the_last_has_no_model(manifest: pd.DataFrame, bank: FeatureBank) -> None:
    first = run(manifest, bank)[0]
    with pytest.raises(IncompleteRunError, match="Cycle 0 is not the last one"):
        _ = first.trained


def test_no_images_have_no_scores(manifest: pd.DataFrame, bank: FeatureBank) -> None:
    (only,) = run(manifest, bank, "vanilla")
    assert score_images(only.trained, bank, [], "cpu").shape == (0,)


def test_cycles_are_handed_over_as_soon_as_they_are_done(manifest: pd.DataFrame, bank: FeatureBank) -> None:
    cycles = run_strategy("iterative_refinement", manifest, bank, loop())
    first = next(cycles)
    assert (first.record.cycle, first.record.epochs, first.record.is_last) == (0, 1, False)
    assert first.seconds > 0
    assert next(cycles).record.cycle == 1


def test_an_image_without_features_stops_the_run_before_it_starts(
    manifest: pd.DataFrame, bank: FeatureBank
) -> None:
    more = pd.concat([manifest, manifest.iloc[:1].assign(image_id="new", digest="f" * 32)])
    with pytest.raises(IncompleteRunError, match=f"lacks 1 of 51 images \\(first: {'f' * 32}"):
        run(more, bank)


def test_a_median_that_is_not_positive_stops_the_run(
    manifest: pd.DataFrame, bank: FeatureBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DifferNet, "score_there", lambda _, rows, **exact: torch.full((len(rows),), -1.0))
    with pytest.raises(ThresholdUndefinedError, match="of 50 anomaly scores is -1"):
        run(manifest, bank, judge="", scoring="in_sample", threshold="median_factor")


@pytest.mark.parametrize(
    "rule",
    [
        {},
        {"judge": "differnet", "scoring": "in_sample"},
        {"detector": "gaussian"},
        {"restore": True, "reference": 0.75},
        {"pretrain_epochs": 0, "epochs_per_cycle": 0},
    ],
    ids=str,
)
@pytest.mark.parametrize("cut", [0, 1])
def test_an_interrupted_strategy_ends_as_an_unbroken_one(
    cut: int, rule: dict[str, Any], manifest: pd.DataFrame, bank: FeatureBank
) -> None:
    tight = {"mad_factor": 1.0, **rule}
    whole = run(manifest, bank, **tight)
    state = whole[cut].state
    assert state is not None
    point = ResumePoint(past=tuple(result.record for result in whole[: cut + 1]), state=state)
    rest = list(run_strategy("iterative_refinement", manifest, bank, loop(**tight), resume=point))
    assert [result.record for result in rest] == [result.record for result in whole[cut + 1 :]]
    ends = [result[-1].trained.tensors for result in (rest, whole)]
    assert all(torch.equal(ends[0][key], ends[1][key]) for key in ends[1])


def test_a_state_is_handed_over_every_kth_cycle_and_a_model_at_the_end(
    manifest: pd.DataFrame, bank: FeatureBank
) -> None:
    cycles = run(manifest, bank, checkpoint_every=2, patience=3, mad_factor=1.0)
    assert [result.state is not None for result in cycles] == [True, False, True, False]
    assert [result.model is not None for result in cycles] == [False, False, False, True]


def test_a_detector_without_epochs_is_not_trained_by_several_processes(
    manifest: pd.DataFrame, bank: FeatureBank
) -> None:
    settings = loop(detector="gaussian")
    many = settings.training.model_copy(update={"processes": 2})
    with pytest.raises(ParameterError, match="'gaussian' is trained by one process"):
        list(run_strategy("vanilla", manifest, bank, replace(settings, training=many)))


@pytest.mark.skipif(torch.cuda.device_count() > 1, reason="there are two GPUs")
def test_more_processes_than_gpus_are_refused_before_any_starts(
    manifest: pd.DataFrame, bank: FeatureBank
) -> None:
    settings = loop()
    settings = replace(settings, training=settings.training.model_copy(update={"processes": 2}))
    blind = BlindSet.of(manifest, seed=0)
    detector = DifferNet(torch.zeros(len(blind), 4, 8), settings.detector_settings)
    detector.features = SimpleNamespace(device=torch.device("cuda"))
    with pytest.raises(
        ParameterError, match=r"training\.processes = 2, each on a GPU of its own, but torch sees"
    ):
        strategies._observed(detector, lambda *_: None, bank, blind, settings)


@pytest.mark.slow
@pytest.mark.parametrize(("strategy", "doubt"), [("vanilla", 1.0), ("one_shot_removal", 0.1)])
def test_a_strategy_trained_by_two_processes_ends_as_one_trained_by_one(
    manifest: pd.DataFrame,
    bank: FeatureBank,
    monkeypatch: pytest.MonkeyPatch,
    strategy: Strategy,
    doubt: float,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    settings, losses = loop(pretrain_epochs=0, epochs_per_cycle=0, doubt=doubt), []

    def tell(loss: float, _: int) -> None:
        losses.append(loss)

    exact = settings.training.model_copy(update={"precision": "float32"})
    alone, together = (
        list(run_strategy(strategy, manifest, bank, replace(settings, training=training), tell))
        for training in (exact, exact.model_copy(update={"processes": 2}))
    )
    np.testing.assert_allclose(together[-1].record.losses, alone[-1].record.losses, rtol=1e-5)
    scores = [list(cycles[-1].record.final_scores.values()) for cycles in (together, alone)]
    np.testing.assert_allclose(*scores, rtol=1e-4)
    assert len(losses) == 2 * len(alone[-1].record.losses)  # both told of all their epochs
    if doubt == 1:
        assert len(losses) == 10
    else:
        assert alone[-1].record.doubtful
        assert len(losses) > 10
