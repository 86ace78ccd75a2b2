"""What a run cost: wall time and images a second by stage, and the peak of memory."""

import resource
import sys
from collections.abc import Mapping
from typing import Any

import pandas as pd


def run_cost(
    extraction: Mapping[str, Any],
    patches: Mapping[str, Any],
    history: pd.DataFrame,
    threshold: Mapping[str, Any],
) -> dict[str, Any]:
    """Return seconds and images a second of extraction and of the loop, and the process's peak of memory.

    Args:
        extraction: what filling the bank cost in this run: ``extracted``, ``reused``, ``seconds``.
        patches: the same of the bank of patches.
        history: of the cycles; an image counts once for each epoch it is trained in.
        threshold: how the threshold was settled; only ``seconds`` is read.
    """
    epochs = history["epochs"].diff().fillna(history["epochs"])
    trained, seconds = float((epochs * history["images"]).sum()), float(history["seconds"].sum())
    return {
        "extraction_seconds": extraction["seconds"],
        "images_extracted": extraction["extracted"],
        "images_reused": extraction["reused"],
        "extraction_images_per_second": _rate(extraction["extracted"], extraction["seconds"]),
        "patch_extraction_seconds": patches["seconds"],
        "patch_extraction_images_per_second": _rate(patches["extracted"], patches["seconds"]),
        "refinement_seconds": seconds,
        "refinement_images_per_second": _rate(trained, seconds),
        "threshold_seconds": threshold["seconds"],
        # Of the process, so of all strategies that it has run so far; no part of it is this one's alone.
        "process_peak_memory_mb": peak_memory_mb(),
    }


def peak_memory_mb() -> float:
    """Return the largest resident size that this process has had, MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak / 1e3


def _rate(count: float, seconds: float) -> float | None:
    """Return count a second; none where nothing was done.

    >>> _rate(10, 4.0), _rate(0, 4.0)
    (2.5, None)
    """
    return count / seconds if count and seconds else None
