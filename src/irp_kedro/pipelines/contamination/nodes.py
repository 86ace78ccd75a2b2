"""Nodes of ``contamination``."""

from typing import Any

import pandas as pd

from irp_kedro.core.contamination import contaminate
from irp_kedro.core.manifest import as_manifest
from irp_kedro.parameters import ContaminationParameters


def contaminate_training_set(
    manifest: pd.DataFrame, contamination: ContaminationParameters, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    """Return the contaminated training manifest, the frozen test manifest, and the record of what was done."""
    split = contaminate(as_manifest(manifest), contamination, seed=seed)
    return split.training, split.test, split.record
