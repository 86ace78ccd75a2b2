"""Wiring of ``oracle``."""

from kedro.pipeline import Node, Pipeline

from irp_kedro.pipelines.oracle import nodes

PARAMETERS = (
    "detector",
    "refinement",
    "training",
    "flow",
    "views",
    "patches",
    "evaluation",
    "seed",
    "device",
)


def create_pipeline() -> Pipeline:
    """Return the pipeline: the truly clean part of ``training_manifest`` -> metrics and ROC curve."""
    sets = ("training_manifest", "test_manifest", "feature_bank", "patch_bank")
    return Pipeline(
        [
            Node(
                nodes.train_on_clean_set,
                name="train_on_clean_set",
                inputs={
                    **{name: name for name in sets},
                    **{name: f"params:{name}" for name in PARAMETERS},
                    "images": "prepared_images",
                },
                outputs=["metrics", "roc_curve"],
            )
        ],
        namespace="oracle",
        inputs={*sets, "prepared_images"},
        parameters=set(PARAMETERS),
        tags="oracle",
    )
