"""Wiring of ``contamination``."""

from kedro.pipeline import Node, Pipeline

from irp_kedro.pipelines.contamination import nodes


def create_pipeline() -> Pipeline:
    """Return the pipeline: ``manifest`` -> training and test manifests, ``contamination_record``."""
    return Pipeline(
        [
            Node(
                nodes.contaminate_training_set,
                name="contaminate_training_set",
                inputs={
                    "manifest": "manifest",
                    "contamination": "params:contamination",
                    "seed": "params:seed",
                },
                outputs=["training_manifest", "test_manifest", "contamination_record"],
            )
        ],
        tags="contamination",
    )
