"""Wiring of ``ingestion``."""

from kedro.pipeline import Node, Pipeline

from irp_kedro.pipelines.ingestion import nodes


def create_pipeline() -> Pipeline:
    """Return the pipeline: source -> ``manifest``, ``review``, ``prepared_images``."""
    return Pipeline(
        [
            Node(
                nodes.read_images,
                name="read_images",
                inputs={
                    "raw_folder": "raw_folder",
                    "dataset": "params:dataset",
                    "sample": "params:sample",
                    "on_duplicate": "params:on_duplicate",
                },
                outputs="manifest",
            ),
            Node(
                nodes.read_review,
                name="read_review",
                inputs={"manifest": "manifest", "review": "params:refinement.review"},
                outputs="review",
            ),
            Node(
                nodes.prepare_images,
                name="prepare_images",
                inputs={"manifest": "manifest", "preparation": "params:preparation", "review": "review"},
                outputs="prepared_images",
            ),
        ],
        tags="ingestion",
    )
