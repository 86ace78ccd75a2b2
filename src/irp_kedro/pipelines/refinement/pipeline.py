"""Wiring of ``refinement``."""

from kedro.pipeline import Node, Pipeline

from irp_kedro.parameters import STRATEGIES, Strategy
from irp_kedro.pipelines.refinement import nodes


def create_pipeline() -> Pipeline:
    """Return one namespace a strategy, all from the same ``training_manifest`` and ``feature_bank``."""
    return sum((_strategy_pipeline(strategy) for strategy in STRATEGIES), start=_shared())


def _shared() -> Pipeline:
    names = ("detector", "refinement", "training", "flow", "views", "patches", "seed", "device")
    return Pipeline(
        [
            Node(
                nodes.settle_loop,
                name="settle_loop",
                inputs={**{name: f"params:{name}" for name in names}, "review": "review"},
                outputs="loop_settings",
            ),
            Node(
                nodes.list_snapshot_contents,
                name="list_snapshot_contents",
                inputs={
                    "training_manifest": "training_manifest",
                    "prepared_images": "prepared_images",
                    "lineage": "params:lineage",
                },
                outputs="snapshot_contents",
            ),
            Node(
                nodes.state_provenance,
                name="state_provenance",
                inputs={
                    "manifest": "manifest",
                    "contamination_record": "contamination_record",
                    "feature_bank": "feature_bank",
                    "patch_bank": "patch_bank",
                    "parameters": "parameters",
                },
                outputs="provenance",
            ),
        ],
        tags="refinement",
    )


def _strategy_pipeline(strategy: Strategy) -> Pipeline:
    shared = {
        "training_manifest",
        "feature_bank",
        "patch_bank",
        "prepared_images",
        "loop_settings",
        "snapshot_contents",
        "provenance",
    }
    return Pipeline(
        [
            Node(
                nodes.STRATEGY_NODES[strategy],
                name="refine_training_set",
                inputs={
                    "training": "training_manifest",
                    "bank": "feature_bank",
                    "patches": "patch_bank",
                    "images": "prepared_images",  # read by digest, and only by detectors that work on pixels
                    "settings": "loop_settings",
                    "contents": "snapshot_contents",
                    "provenance": "provenance",
                    "checkpoints": "checkpoints",
                },
                outputs="snapshots",
            ),
            Node(
                nodes.record_refinement,
                name="record_refinement",
                inputs={
                    "snapshots": "snapshots",
                    "training_manifest": "training_manifest",
                    "loop_settings": "loop_settings",
                },
                outputs=["refined_manifest", "removal_log", "cycle_history"],
            ),
            Node(
                nodes.settle_threshold,
                name="settle_threshold",
                inputs={
                    "snapshots": "snapshots",
                    "training_manifest": "training_manifest",
                    "bank": "feature_bank",
                    "patches": "patch_bank",
                    "images": "prepared_images",
                    "loop_settings": "loop_settings",
                    "evaluation": "params:evaluation",
                },
                outputs=["model", "held_out_scores", "threshold_record"],
            ),
        ],
        namespace=strategy,
        inputs={name: name for name in shared} | {"checkpoints": f"{strategy}.checkpoints"},
        parameters={"evaluation"},
        tags="refinement",
    )
