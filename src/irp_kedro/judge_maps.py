"""Why an image was suspected: the map of the judge that scores places, each image left out as in the loop."""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from irp_kedro.core.anomaly_maps import AnomalyMaps, Maps, joined, side_by_side
from irp_kedro.core.detector import BlindSet, Rows
from irp_kedro.detectors.localization import MapsItself
from irp_kedro.detectors.registry import DETECTORS, detector_type
from irp_kedro.inspection import PATCHES_TOGETHER, Inspected, as_half, proportion_of
from irp_kedro.judges import FeatureLoader, LoopSettings

logger = logging.getLogger(__name__)

NOBODY_APART: Mapping[str, str] = {}


def mapping_judge(judges: Sequence[str]) -> str:
    """Return the first judge that scores places and leaves out the image it scores; empty where none does.

    >>> mapping_judge(["gaussian", "patch_memory"]), mapping_judge(["gaussian"])
    ('patch_memory', '')
    """
    for name in judges:
        if DETECTORS[name].leaves_one_out and hasattr(detector_type(name), "anomaly_map"):
            return name
    return ""


def map_judgement(
    training: pd.DataFrame,
    kept: Sequence[str],
    suspects: Sequence[str],
    seen: Inspected,
    settings: LoopSettings,
    *,
    found_by: Mapping[str, str] = NOBODY_APART,
) -> AnomalyMaps:
    """Return where in each suspect a judge finds what the final set does not have; none, if no judge can say.

    The judge is made as in the loop, of the blind set and nothing else, with the final set as its reference:
    an image that left is compared with all that stayed, one that stayed with all others.

    Args:
        training: manifest of the set before refinement; ids and digests are read.
        kept: ids of the images that are in the set at the end.
        suspects: ids of the images that get a map.
        seen: features and pixels of the training images.
        settings: of the loop; which judges there are, and what they are told.
        found_by: image -> the judge heard apart that alone found it; such an image has the map of that judge.
    """
    first = mapping_judge(settings.judges)
    if not first or not suspects:
        return AnomalyMaps.empty()
    blind = BlindSet.of(training, seed=settings.seed)
    row_of = {image: row for row, image in enumerate(blind.image_ids)}
    load = FeatureLoader(seen.bank, seen.patches, blind.digests, seen.device, seen.images)
    reference = np.sort(_rows(kept, row_of))
    maps, proportion = AnomalyMaps.empty(), proportion_of(seen.patches)
    for name, asked in _shared_out(suspects, found_by, first, settings.judges).items():
        started = time.perf_counter()
        judge = detector_type(name)(load.of(name), settings.detector_settings, "judge").fresh("judge/maps")
        judge.fit(reference, epochs=settings.refinement.judge_epochs)
        made = joined(asked, list(_in_parts(judge, _rows(asked, row_of), proportion)), "patches", name)
        logger.info("%d maps of judge '%s', %.1f s", len(made), name, time.perf_counter() - started)
        maps = side_by_side(maps, made)
    return maps


def _shared_out(
    suspects: Sequence[str], found_by: Mapping[str, str], first: str, judges: Sequence[str]
) -> dict[str, list[str]]:
    """Return which judge maps which images: the one that alone found an image, else the first."""
    shares: dict[str, list[str]] = {first: []}
    for image in suspects:
        found = found_by.get(image, first)
        maps_it = found if found in judges and mapping_judge([found]) else first
        shares.setdefault(maps_it, []).append(image)
    return {name: share for name, share in shares.items() if share}


def _rows(image_ids: Sequence[str], row_of: Mapping[str, int]) -> Rows:
    return np.array([row_of[image] for image in image_ids], dtype=np.intp)


def _in_parts(judge: object, rows: Rows, proportion: float) -> Iterator[Maps]:
    for start in range(0, len(rows), PATCHES_TOGETHER):
        if isinstance(judge, MapsItself):
            yield as_half(judge.anomaly_map(rows[start : start + PATCHES_TOGETHER], proportion))
