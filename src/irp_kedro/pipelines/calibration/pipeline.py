"""Wiring of ``calibration``."""

from kedro.pipeline import Node, Pipeline

from irp_kedro.pipelines.calibration import nodes

PARAMETERS = ("calibration", "detector", "refinement", "training", "flow", "views", "patches", "device")


def create_pipeline() -> Pipeline:
    """Return the pipeline: a clean ``training_manifest`` -> ``calibration_table``."""
    sets = ("training_manifest", "feature_bank", "patch_bank", "prepared_images")
    return Pipeline(
        [
            Node(
                nodes.calibrate_threshold,
                name="calibrate_threshold",
                inputs={**{name: name for name in sets}, **{name: f"params:{name}" for name in PARAMETERS}},
                outputs="calibration_table",
            )
        ],
        tags="calibration",
    )
