"""Wiring of ``evaluation``."""

from kedro.pipeline import Node, Pipeline

from irp_kedro.parameters import STRATEGIES, Strategy
from irp_kedro.pipelines.evaluation import nodes

# What the judge's maps are made by: the parameters of the loop.
LOOP = ("detector", "refinement", "training", "flow", "views", "patches", "evaluation", "seed", "device")


def create_pipeline() -> Pipeline:
    """Return one namespace a strategy: test scores, anomaly maps, removal audit, suspicion ranking, metrics."""
    return sum((_strategy_pipeline(strategy) for strategy in STRATEGIES), start=Pipeline([]))


def _strategy_pipeline(strategy: Strategy) -> Pipeline:
    own = {"model", "removal_log", "snapshots", "cycle_history", "threshold_record"}
    return Pipeline(
        [
            Node(
                nodes.score_test_split,
                name="score_test_split",
                inputs={
                    "model": "model",
                    "feature_bank": "feature_bank",
                    "patch_bank": "patch_bank",
                    "images": "prepared_images",
                    "test_manifest": "test_manifest",
                    "device": "params:device",
                },
                outputs="test_scores",
            ),
            Node(
                nodes.map_anomalies,
                name="map_anomalies",
                inputs={
                    "model": "model",
                    "feature_bank": "feature_bank",
                    "patch_bank": "patch_bank",
                    "images": "prepared_images",
                    "removal_log": "removal_log",
                    "test_manifest": "test_manifest",
                    "test_scores": "test_scores",
                    "suspicion_ranking": "suspicion_ranking",
                    "cycle_history": "cycle_history",
                    "judge_maps": "judge_maps",
                    "near_images": "params:reporting.near_images",
                    "evaluation": "params:evaluation",
                    "device": "params:device",
                },
                outputs="anomaly_maps",
            ),
            Node(
                nodes.map_judgement,
                name="map_judgement",
                inputs={
                    **{name: name for name in ("training_manifest", "feature_bank", "patch_bank")},
                    **{name: name for name in ("removal_log", "suspicion_ranking", "cycle_history")},
                    **{name: f"params:{name}" for name in LOOP},
                    "images": "prepared_images",
                    "near_images": "params:reporting.near_images",
                },
                outputs="judge_maps",
            ),
            Node(
                nodes.measure_pixels,
                name="measure_pixels",
                inputs={
                    "anomaly_maps": "anomaly_maps",
                    "test_manifest": "test_manifest",
                    "images": "prepared_images",
                },
                outputs="pixel_metrics",
            ),
            Node(
                nodes.audit,
                name="audit_removals",
                inputs={
                    "removal_log": "removal_log",
                    "training_manifest": "training_manifest",
                    "snapshots": "snapshots",
                },
                outputs=["removal_audit", "suspicion_ranking"],
            ),
            Node(
                nodes.measure,
                name="measure",
                inputs={
                    "test_scores": "test_scores",
                    "test_manifest": "test_manifest",
                    "suspicion_ranking": "suspicion_ranking",
                    "cycle_history": "cycle_history",
                    "contamination_record": "contamination_record",
                    "feature_bank_record": "feature_bank_record",
                    "patch_bank_record": "patch_bank_record",
                    "threshold_record": "threshold_record",
                    "pixel_metrics": "pixel_metrics",
                    "evaluation": "params:evaluation",
                    "seed": "params:seed",
                },
                outputs="metrics",
            ),
            Node(
                nodes.trace_errors,
                name="trace_errors",
                inputs={
                    "test_scores": "test_scores",
                    "test_manifest": "test_manifest",
                    "suspicion_ranking": "suspicion_ranking",
                    "pixel_metrics": "pixel_metrics",
                    "evaluation": "params:evaluation",
                    "seed": "params:seed",
                },
                outputs=["roc_curve", "metrics_by_type"],
            ),
        ],
        namespace=strategy,
        inputs={
            "feature_bank": "feature_bank",
            "patch_bank": "patch_bank",
            "prepared_images": "prepared_images",
            "test_manifest": "test_manifest",
            "training_manifest": "training_manifest",
            "contamination_record": "contamination_record",
            "feature_bank_record": "feature_bank_record",
            "patch_bank_record": "patch_bank_record",
            **{name: f"{strategy}.{name}" for name in own},
        },
        parameters={*LOOP, "reporting.near_images"},
        tags="evaluation",
    )
