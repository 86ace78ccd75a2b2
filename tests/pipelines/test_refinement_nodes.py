from dataclasses import asdict
from typing import Any

import pandas as pd
import pytest
import torch

from irp_kedro.core.refinement import RefinementCycle
from irp_kedro.core.removal import Decision
from irp_kedro.core.review import COLUMNS as REVIEW_COLUMNS
from irp_kedro.core.review import Review
from irp_kedro.datasets.refinement_checkpoints import Checkpoint
from irp_kedro.detectors.settings import TrainedDetector
from irp_kedro.features.bank import ExtractionRecipe, FeatureBank
from irp_kedro.features.preparation import Preparation, PreparedImages
from irp_kedro.judges import LoopSettings
from irp_kedro.lineage.contents import StoredImage
from irp_kedro.parameters import (
    STRATEGIES,
    EvaluationParameters,
    FlowParameters,
    LineageParameters,
    PatchParameters,
    RefinementParameters,
    Strategy,
    TrainingParameters,
    ViewParameters,
)
from irp_kedro.pipeline_registry import register_pipelines
from irp_kedro.pipelines.refinement.nodes import (
    STRATEGY_NODES,
    iterative_refinement,
    list_snapshot_contents,
    record_refinement,
    settle_loop,
    settle_threshold,
    state_provenance,
)
from irp_kedro.strategies import CycleResult, ResumePoint

NO_REVIEW = pd.DataFrame(columns=list(REVIEW_COLUMNS), dtype=str)
REVIEW = pd.DataFrame([("id0", "a" * 32, "keep", "Ada", "")], columns=list(REVIEW_COLUMNS))
MODEL = TrainedDetector(detector="gaussian", tensors={"mean": torch.zeros(1)}, config={"name": "detector"})
IMAGES = [
    StoredImage(
        image_id="id0", name="id0.png", digest=f"{0:032x}", size=1, path="/images/0.png", original="0.png"
    )
]


@pytest.fixture
def settings() -> LoopSettings:
    settled: LoopSettings = settle_loop(
        "differnet",
        RefinementParameters(judge=("patch_memory", "gaussian")),
        TrainingParameters(),
        FlowParameters(),
        ViewParameters(),
        PatchParameters(),
        seed=3,
        device="cpu",
        review=REVIEW,
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
        doubtful=("id2",),
        variants=("id0",),
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
    assert (settings.judge, settings.detector, settings.seed) == ("patch_memory+gaussian", "differnet", 3)


def test_paths_are_joined_after_the_loop(
    manifest_of: Any, bank_of: Any, no_patches: Any, snapshots: list[CycleResult], settings: LoopSettings
) -> None:
    training = manifest_of(*[("train", "unknown", "")] * 3)
    kept, log, history = record_refinement(snapshots, training, settings)
    assert list(kept["image_id"]) == ["id0", "id2"]
    assert log[["image_id", "path"]].to_numpy().tolist() == [["id1", "/images/1.png"]]
    assert log["judge"].tolist() == ["patch_memory+gaussian"]
    assert kept[["doubtful", "variant"]].to_numpy().tolist() == [[False, True], [True, False]]
    assert list(history["images"]) == [3, 2]
    assert list(history["variants"]) == [0, 1]


def test_the_model_keeps_a_threshold_that_no_test_label_has_seen(
    manifest_of: Any, bank_of: Any, no_patches: Any, snapshots: list[CycleResult], settings: LoopSettings
) -> None:
    training = manifest_of(*[("train", "unknown", "")] * 3)
    asked = EvaluationParameters(false_alarm_rate=0.5, threshold_scores="in_sample")
    model, scores, record = settle_threshold(
        snapshots, training, bank_of(training), no_patches, None, settings, asked
    )
    assert (model.config["threshold"], model.config["false_alarm_rate"]) == (2.0, 0.5)
    assert set(scores["image_id"]) == {"id0", "id2"}
    assert (record["threshold"], record["scores"]) == (2.0, "in_sample")


def test_the_model_keeps_how_pixels_become_its_features(
    manifest_of: Any, bank_of: Any, no_patches: Any, snapshots: list[CycleResult], settings: LoopSettings
) -> None:
    training = manifest_of(*[("train", "unknown", "")] * 3)
    bank = bank_of(training)
    asked = EvaluationParameters(threshold_scores="in_sample")
    model, _, _ = settle_threshold(snapshots, training, bank, no_patches, None, settings, asked)
    assert ExtractionRecipe.from_dict(model.config["recipe"]) == bank.read_recipe()


def test_the_loop_gets_digests_and_decisions_of_a_review_and_nothing_else(settings: LoopSettings) -> None:
    assert settings.review == Review(keep=frozenset({"a" * 32}))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_strategy_s_node_yields_its_cycles_one_by_one(
    strategy: Strategy, manifest_of: Any, bank_of: Any, no_patches: Any, provenance_of: Any
) -> None:
    training = manifest_of(*[("train", "unknown", "")] * 20)
    bank, mine = bank_of(training, odd=7), provenance_of()
    cycles = STRATEGY_NODES[strategy](training, bank, no_patches, settle_gaussian(), IMAGES, mine, [])
    first = next(cycles)
    assert (first.result.record.cycle, first.strategy, len(first.removals)) == (0, strategy, 0)
    assert (first.images, first.provenance) == (IMAGES, mine)
    later = list(cycles)
    removed = pd.concat([cycle.removals for cycle in later]) if later else first.removals
    gone = dict(zip(removed["image_id"], removed["path"], strict=True))
    assert gone.get("id7") == (None if strategy == "vanilla" else "/images/7.png")


@pytest.mark.parametrize(("changed", "cycles"), [({}, [1, 2]), ({"code": "other"}, [0, 1, 2])])
def test_an_interrupted_run_goes_on_under_its_own_name_only_where_nothing_else_differs(
    changed: dict[str, str], cycles: list[int], manifest_of: Any, bank_of: Any, provenance_of: Any
) -> None:
    training = manifest_of(*[("train", "unknown", "")] * 20)
    bank = bank_of(training, odd=7)
    asked = (training, bank, FeatureBank.empty(bank.store), settle_gaussian(), IMAGES)
    killed = provenance_of(run="killed")
    first = next(iterative_refinement(*asked, killed, [])).result
    point = ResumePoint(past=(first.record,), state=first.state)
    found = [Checkpoint(point=point, provenance=killed)]
    done = list(iterative_refinement(*asked, provenance_of(run="mine", **changed), found))
    assert [cycle.result.record.cycle for cycle in done] == cycles
    assert {cycle.provenance.run for cycle in done} == {"mine" if changed else "killed"}


def settle_gaussian() -> LoopSettings:
    rule = RefinementParameters(
        max_cycles=2,
        folds=4,
        judge=("gaussian",),
        threshold="mad",
        mad_factor=4.0,
        restore=False,
        reference=1.0,
        max_removed_per_cycle=0.1,
        patience=2,
    )
    views = ViewParameters(bank=1, train=1, score=1)
    settled: LoopSettings = settle_loop(
        "gaussian",
        rule,
        TrainingParameters(),
        FlowParameters(),
        views,
        PatchParameters(),
        seed=0,
        device="cpu",
        review=NO_REVIEW,
    )
    return settled


def test_what_labels_decide_never_reaches_a_strategy() -> None:
    pipelines = register_pipelines()
    joined = pipelines["evaluation"].all_outputs() | pipelines["oracle"].all_outputs()
    assert not pipelines["refinement"].all_inputs() & joined
    # Manifest and record of contamination hold labels: they enter a digest of the provenance and nothing else.
    read_by = {
        node.name: set(node.inputs)
        for node in pipelines["refinement"].nodes
        if node.name.endswith("refine_training_set")
    }
    # Prepared images are read by digest, by detectors that work on pixels.
    banks = {"feature_bank", "patch_bank", "prepared_images"}
    shared = {"training_manifest", *banks, "loop_settings", "snapshot_contents", "provenance"}
    expected = {f"{name}.refine_training_set": shared | {f"{name}.checkpoints"} for name in STRATEGIES}
    assert read_by == expected


def test_snapshots_hold_the_source_files_unless_prepared_ones_are_asked_for(manifest_of: Any) -> None:
    training, prepared = (
        manifest_of(("train", "unknown", "")),
        PreparedImages({}, Preparation(crop="none", size=8)),
    )
    source = list_snapshot_contents(training, prepared, LineageParameters())
    assert source.prepared is None
    asked = list_snapshot_contents(training, prepared, LineageParameters(content="prepared"))
    assert asked.prepared is prepared
    pd.testing.assert_frame_equal(asked.training, source.training)


def test_the_provenance_follows_images_injection_and_parameters_but_not_where_files_lie(
    manifest_of: Any, bank_of: Any, no_patches: Any
) -> None:
    manifest = manifest_of(("train", "normal", ""), ("test", "anomalous", "dent"))
    bank = bank_of(manifest)

    def state(
        table: Any = manifest, record: Any = None, patches: Any = no_patches, **parameters: Any
    ) -> dict[str, Any]:
        asked = {"device": "cpu", **parameters}
        stated = asdict(state_provenance(table, record or {"level": 0.2}, bank, patches, asked))
        return {key: value for key, value in stated.items() if key != "run"}

    first = state()
    assert first == state(manifest.assign(path=["/elsewhere/0.png", "/elsewhere/1.png"]), data_root="elsewhere")
    assert first["cell"].endswith(first["parameters"])
    assert (first["feature_bank"], first["device"]) == (bank.digest, "cpu")
    assert {"python", "torch", "dvc", "irp-kedro"} <= set(first["versions"])
    assert state(manifest.assign(digest=["a", "b"]))["source_manifest"] != first["source_manifest"]
    assert state(record={"level": 0.3})["contamination_record"] != first["contamination_record"]
    assert state(seed=1)["parameters"] != first["parameters"]
    with_patches, other_patches = (
        state(patches=some)["feature_bank"] for some in (bank, bank_of(manifest[:1]))
    )
    assert len({first["feature_bank"], with_patches, other_patches}) == 3


def test_every_run_has_a_provenance_of_its_own(manifest_of: Any, bank_of: Any, no_patches: Any) -> None:
    manifest = manifest_of(("train", "normal", ""))
    runs = [state_provenance(manifest, {}, bank_of(manifest), no_patches, {}).run for _ in range(2)]
    assert runs[0] != runs[1]
