"""Anomaly maps against masks: one comparison a pixel of the prepared image."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from irp_kedro.core.anomaly_maps import AnomalyMaps
from irp_kedro.core.manifest import ANOMALOUS, NORMAL
from irp_kedro.core.pixel_metrics import PixelHistogram, total
from irp_kedro.features.preparation import Mask, Preparation

EVERY_TYPE = "all"
COLUMNS = ("defect_type", "images", "regions", "pixel_auroc", "aupro")


def measure_pixels(
    maps: AnomalyMaps, test: pd.DataFrame, preparation: Preparation, read_mask: Callable[[Path], Mask]
) -> pd.DataFrame:
    """Return pixel AUROC and AUPRO with :data:`COLUMNS`: of each type of defect, then of ``all`` of them.

    Good images count with every type. A defective image without a mask, or whose mask the crop loses, says
    nothing about pixels and is left out. Maps are read one after another; only counts are held.

    Args:
        maps: of test images, and maybe others.
        test: manifest of the test split.
        preparation: that the maps' images went through; masks go through the same.
        read_mask: path -> which pixels of the whole image are defective.

    Returns:
        No row where no defective image has both a map and a mask.
    """
    by_type: dict[str, PixelHistogram] = {}
    mapped = test[test["image_id"].isin(set(maps.image_ids))]
    for row in mapped.to_dict("records"):
        mask = _mask(row, preparation, read_mask)
        if mask is not None:
            name = row["defect_type"] if row["label"] == ANOMALOUS else ""
            by_type.setdefault(name, PixelHistogram()).add(resized(maps.of(row["image_id"]), mask.shape), mask)
    good = by_type.pop("", PixelHistogram())
    rows = [_row(name, histogram, [good, histogram]) for name, histogram in sorted(by_type.items())]
    if by_type:
        defective = total(list(by_type.values()))
        rows.append(_row(EVERY_TYPE, defective, [good, defective]))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def resized(anomaly_map: npt.NDArray[np.float32], shape: Sequence[int]) -> npt.NDArray[np.float32]:
    """Return a map on a grid of ``shape`` (height, width), in between by straight lines."""
    height, width = shape
    grid = Image.fromarray(anomaly_map).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(grid, dtype=np.float32)


def _mask(row: Mapping[Any, Any], preparation: Preparation, read: Callable[[Path], Mask]) -> Mask | None:
    if row["label"] == NORMAL:
        return np.zeros((preparation.size, preparation.size), dtype=np.bool_)
    if row["label"] != ANOMALOUS or not row["mask_path"]:
        return None
    mask = preparation.prepare_mask(read(Path(row["mask_path"])), of=Path(row["path"]))
    return mask if mask.any() else None


def _row(name: str, defective: PixelHistogram, counted: Sequence[PixelHistogram]) -> dict[str, object]:
    return {
        "defect_type": name,
        "images": defective.n_images,
        "regions": defective.n_regions,
        **total(counted).metrics(),
    }
