"""Wiring of ``features``."""

from kedro.pipeline import Node, Pipeline

from irp_kedro.pipelines.features import nodes


def create_pipeline() -> Pipeline:
    """Return the pipeline: ``prepared_images`` -> ``feature_bank``, ``patch_bank`` and what they cost."""
    return Pipeline(
        [
            Node(
                nodes.extract_features,
                name="extract_features",
                inputs={
                    "prepared_images": "prepared_images",
                    "feature_store": "feature_store",
                    "backbone": "params:backbone",
                    "views": "params:views",
                    "features": "params:features",
                    "device": "params:device",
                },
                # Apart, because the cost differs from run to run: what came of the bank need not be made again.
                outputs=["feature_bank", "feature_bank_record"],
            ),
            Node(
                nodes.extract_patches,
                name="extract_patches",
                inputs={
                    "prepared_images": "prepared_images",
                    "feature_store": "feature_store",
                    "backbone": "params:backbone",
                    "features": "params:features",
                    "patches": "params:patches",
                    "detector": "params:detector",
                    "refinement": "params:refinement",
                    "device": "params:device",
                },
                outputs=["patch_bank", "patch_bank_record"],
            ),
        ],
        tags="features",
    )
