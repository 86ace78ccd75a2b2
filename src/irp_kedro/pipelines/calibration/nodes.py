"""Nodes of ``calibration``."""

import logging
from typing import Any

import pandas as pd

from irp_kedro.core.calibration import FACTOR_OF, choose_factor, false_removals, with_factor
from irp_kedro.core.manifest import NORMAL, as_manifest
from irp_kedro.errors import ParameterError
from irp_kedro.measuring_parameters import CalibrationParameters
from irp_kedro.parameters import (
    FlowParameters,
    PatchParameters,
    RefinementParameters,
    TrainingParameters,
    ViewParameters,
)

logger = logging.getLogger(__name__)


def calibrate_threshold(
    training_manifest: pd.DataFrame,
    feature_bank: Any,
    patch_bank: Any,
    prepared_images: Any,
    calibration: CalibrationParameters,
    detector: str,
    refinement: RefinementParameters,
    training: TrainingParameters,
    flow: FlowParameters,
    views: ViewParameters,
    patches: PatchParameters,
    device: str,
) -> pd.DataFrame:
    """Run the loop on a clean training set for each candidate factor, and name the one to use."""
    from irp_kedro.judges import LoopSettings
    from irp_kedro.strategies import run_strategy

    manifest = as_manifest(training_manifest)
    if not (manifest["label"] == NORMAL).all():
        raise ParameterError(
            "Calibration needs a training set known to be clean; this one has anomalous or unlabelled images. "
            "Run it with --params contamination.level=0 on a source with labels."
        )

    def removed_by(factor: float, seed: int) -> int:
        held_out = refinement.scoring == "held_out"
        # What is trained beside a held-out judge changes no removal: train that judge's kind alone.
        settings = LoopSettings(
            detector=refinement.judge[0] if refinement.judge and held_out else detector,
            refinement=with_factor(refinement, factor),
            training=training,
            flow=flow,
            views=views,
            patches=patches,
            seed=seed,
            device=device,
        )
        *_, last = run_strategy(
            "iterative_refinement",
            manifest,
            feature_bank,
            settings,
            patches=patch_bank,
            images=prepared_images,
        )
        return len(manifest) - len(last.record.kept)

    table = false_removals(removed_by, calibration.factors, calibration.seeds, len(manifest))
    chosen = choose_factor(table, target=calibration.false_removal_rate)
    logger.info(
        "calibration on %d clean images: refinement.%s = %g keeps the false-removal rate within %g",
        len(manifest),
        FACTOR_OF[refinement.threshold],
        chosen,
        calibration.false_removal_rate,
    )
    return table.assign(parameter=FACTOR_OF[refinement.threshold], chosen=table["factor"] == chosen)
