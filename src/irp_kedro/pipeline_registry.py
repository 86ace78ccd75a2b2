"""Every pipeline by name; ``__default__`` runs them all."""

from kedro.pipeline import Pipeline

from irp_kedro.pipelines.calibration.pipeline import create_pipeline as calibration
from irp_kedro.pipelines.contamination.pipeline import create_pipeline as contamination
from irp_kedro.pipelines.evaluation.pipeline import create_pipeline as evaluation
from irp_kedro.pipelines.features.pipeline import create_pipeline as features
from irp_kedro.pipelines.grid_report.pipeline import create_pipeline as grid_report
from irp_kedro.pipelines.ingestion.pipeline import create_pipeline as ingestion
from irp_kedro.pipelines.oracle.pipeline import create_pipeline as oracle
from irp_kedro.pipelines.refinement.pipeline import create_pipeline as refinement
from irp_kedro.pipelines.reporting.pipeline import create_pipeline as reporting


def register_pipelines() -> dict[str, Pipeline]:
    """Return the pipelines in the order in which they run, and their sum."""
    pipelines = {
        "ingestion": ingestion(),
        "contamination": contamination(),
        "features": features(),
        "refinement": refinement(),
        "evaluation": evaluation(),
        "oracle": oracle(),
        "reporting": reporting(),
    }
    whole = sum(pipelines.values(), start=Pipeline([]))
    # Calibration is run on purpose, on a set known to be clean; grid_report by kedro irp grid, over many cells.
    return {"__default__": whole, **pipelines, "calibration": calibration(), "grid_report": grid_report()}
