from typing import Any

import pytest
import torch

from irp_kedro.core.refinement import RefinementCycle
from irp_kedro.core.removal import Decision
from irp_kedro.detectors.settings import TrainedDetector
from irp_kedro.parameters import (
    STRATEGIES,
    EvaluationParameters,
    FlowParameters,
    RefinementParameters,
    Strategy,
    TrainingParameters,
    ViewParameters,
)
from irp_kedro.pipeline_registry import register_pipelines
from irp_kedro.pipelines.refinement.nodes import STRATEGY_NODES, record_refinement, settle_loop
from irp_kedro.strategies import CycleResult, LoopSettings

MODEL = TrainedDetector(detector="gaussian", tensors={"mean": torch.zeros(1)}, config={"name": "detector"})


@pytest.fixture
def settings() -> LoopSettings:
    settled: LoopSettings = settle_loop(
        "differnet",
        RefinementParameters(),
        TrainingParameters(),
        FlowParameters(),
        ViewParameters(),
        seed=3,
        device="cpu",
    )
    return settled


@pytest.fixture
def snapshots() -> list[CycleResult]:
    before = RefinementCycle(
        cycle=0, kept=("id0", "id1", "id2"), judged={}, losses=(1.0,), epochs=1, final_scores={}
    )
    gone = Decision(
        cycle=1,
        action="removed",
        image_id="id1",
        digest=f"{1:032x}",
        score=9.0,
        median_score=1.0,
        threshold=2.0,
    )
    after = RefinementCycle(
        cycle=1,
        kept=("id0", "id2"),
        decisions=(gone,),
        judged={"id0": 1.0, "id1": 9.0, "id2": 1.0},
        losses=(0.5,),
        epochs=2,
        stop="max_cycles (1) reached",
        final_scores={"id0": 1.0, "id2": 3.0},
    )
    return [
        CycleResult(record=before, seconds=1.0, model=None),
        CycleResult(record=after, seconds=2.0, model=MODEL),
    ]


def test_every_strategy_has_a_node_of_its_name() -> None:
    assert {name: node.__name__ for name, node in STRATEGY_NODES.items()} == {
        strategy: strategy for strategy in STRATEGIES
    }


def test_all_strategies_get_the_same_settings(settings: LoopSettings) -> None:
    assert (settings.judge, settings.detector, settings.seed) == ("gaussian", "differnet", 3)


def test_paths_are_joined_after_the_loop(
    manifest_of: Any, snapshots: list[CycleResult], settings: LoopSettings
) -> None:
    training = manifest_of(*[("train", "unknown", "")] * 3)
    kept, log, history, _ = record_refinement(snapshots, training, settings, EvaluationParameters())
    assert list(kept["image_id"]) == ["id0", "id2"]
    assert log[["image_id", "path", "judge"]].to_numpy().tolist() == [["id1", "/images/1.png", "gaussian"]]
    assert list(history["images"]) == [3, 2]


def test_the_model_keeps_a_threshold_that_no_test_label_has_seen(
    manifest_of: Any, snapshots: list[CycleResult], settings: LoopSettings
) -> None:
    training = manifest_of(*[("train", "unknown", "")] * 3)
    model = record_refinement(snapshots, training, settings, EvaluationParameters(false_alarm_rate=0.5))[3]
    assert model.config == {"name": "detector", "threshold": 2.0, "false_alarm_rate": 0.5}


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_strategy_s_node_yields_its_cycles_one_by_one(
    strategy: Strategy, manifest_of: Any, bank_of: Any
) -> None:
    training = manifest_of(*[("train", "unknown", "")] * 20)
    rule = RefinementParameters(max_cycles=2, folds=4, mad_factor=4.0)
    views = ViewParameters(bank=1, train=1, score=1)
    settled = settle_loop("gaussian", rule, TrainingParameters(), FlowParameters(), views, seed=0, device="cpu")
    cycles = STRATEGY_NODES[strategy](training, bank_of(training, odd=7), settled)
    assert next(cycles).record.cycle == 0
    later = list(cycles)
    gone = {decision.image_id for cycle in later for decision in cycle.record.decisions}
    assert ("id7" in gone) is (strategy != "vanilla")


def test_what_labels_decide_never_reaches_a_strategy() -> None:
    pipelines = register_pipelines()
    joined = pipelines["evaluation"].all_outputs() | pipelines["oracle"].all_outputs()
    free = {name for name in pipelines["refinement"].inputs() if not name.startswith("params:")}
    assert free == {"training_manifest", "feature_bank"}
    assert not pipelines["refinement"].all_inputs() & joined
