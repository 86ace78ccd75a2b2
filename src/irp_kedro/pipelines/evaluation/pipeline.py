"""Wiring of ``evaluation``."""

from kedro.pipeline import Node, Pipeline

from irp_kedro.parameters import STRATEGIES, Strategy
from irp_kedro.pipelines.evaluation import nodes


def create_pipeline() -> Pipeline:
    """Return one namespace a strategy: test scores, anomaly maps, removal audit, suspicion ranking, metrics."""
    return sum((_strategy_pipeline(strategy) for strategy in STRATEGIES), start=Pipeline([]))


def _strategy_pipeline(strategy: Strategy) -> Pipeline:
    own = {"model", "removal_log", "snapshots", "cycle_history"}
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
                    "evaluation": "params:evaluation",
                    "device": "params:device",
                },
                outputs="anomaly_maps",
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
                    "evaluation": "params:evaluation",
                    "seed": "params:seed",
                },
                outputs="metrics",
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
        parameters={"device", "evaluation", "seed"},
        tags="evaluation",
    )
