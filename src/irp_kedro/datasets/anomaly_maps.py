"""``anomaly_maps``: where in each image the score comes from, in one file."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
from kedro.io import AbstractDataset, DatasetError
from kedro_datasets._typing import ImagePreview
from PIL import Image

from irp_kedro.core.anomaly_maps import AnomalyMaps
from irp_kedro.features.heat_map import coloured, scaled
from irp_kedro.writing import file_aside

SHOWN, COLUMNS, SIDE = 24, 6, 96  # maps in a preview, in a row, and the pixels of each


class AnomalyMapsDataset(AbstractDataset[AnomalyMaps, AnomalyMaps]):
    """Anomaly maps as one .npz file: ``image_ids``, ``maps`` (float16), ``method``, whose they are.

    Args:
        filepath: the file.

    Example of use in the catalog::

        iterative_refinement.anomaly_maps:
          type: irp_kedro.datasets.anomaly_maps.AnomalyMapsDataset
          filepath: data/07_model_output/cell/iterative_refinement/anomaly_maps.npz
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> AnomalyMaps:
        """Return the maps."""
        if not self._filepath.is_file():
            raise DatasetError(f"No anomaly maps at '{self._filepath}'. Run: kedro run --pipelines evaluation")
        # Numbers and text only: reading the file never runs code.
        with np.load(self._filepath, allow_pickle=False) as kept:
            image_ids = tuple(kept["image_ids"].tolist())
            told = {name: str(kept[name]) for name in ("method", "detector") if name in kept}
            detectors = tuple(kept["detectors"].tolist()) if "detectors" in kept else ()
            return AnomalyMaps(image_ids=image_ids, maps=kept["maps"], **told, detectors=detectors)

    def save(self, data: AnomalyMaps) -> None:
        """Write the maps."""
        ids = np.array(data.image_ids, dtype=np.str_)
        with file_aside(self._filepath) as aside, aside.open("wb") as file:
            method, detector = np.array(data.method), np.array(data.detector)
            whose = np.array(data.detectors, dtype=np.str_)
            np.savez(file, image_ids=ids, maps=data.maps, method=method, detector=detector, detectors=whose)

    def preview(self) -> ImagePreview:
        """Return the first maps side by side, on one scale, for kedro-viz."""
        anomaly_maps = self.load()
        shown = anomaly_maps.maps[:SHOWN].astype(np.float64)
        sheet = Image.new("RGB", (COLUMNS * SIDE, max(1, -(-len(shown) // COLUMNS)) * SIDE), "white")
        high = float(np.quantile(shown, 0.995)) if shown.size else 0.0
        for number, values in enumerate(shown):
            tile = Image.fromarray(coloured(scaled(values, 0, high))).resize((SIDE - 2, SIDE - 2))
            sheet.paste(tile, (number % COLUMNS * SIDE, number // COLUMNS * SIDE))
        buffer = io.BytesIO()
        sheet.save(buffer, format="PNG")
        return ImagePreview(base64.b64encode(buffer.getvalue()).decode())

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath.as_posix()}
