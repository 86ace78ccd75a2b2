"""``prepared_images``: where each image lies and how it is prepared; pixels are made when asked for."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError

from irp_kedro.features.preparation import Preparation, PreparedImages
from irp_kedro.writing import write_json


class PreparedImagesDataset(AbstractDataset[PreparedImages, PreparedImages]):
    """Keep the recipe of a prepared set as one JSON file; no pixel is copied.

    Args:
        filepath: the JSON file.

    Example of use in the catalog::

        prepared_images:
          type: irp_kedro.datasets.prepared_images.PreparedImagesDataset
          filepath: data/02_intermediate/cell/prepared_images.json
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> PreparedImages:
        """Return the prepared images."""
        if not self._filepath.is_file():
            raise DatasetError(
                f"No prepared images at '{self._filepath}'. Run: kedro run --pipelines ingestion"
            )
        recipe = json.loads(self._filepath.read_text(encoding="utf-8"))
        paths = {digest: Path(path) for digest, path in recipe["paths"].items()}
        return PreparedImages(paths, Preparation.from_dict(recipe), recipe.get("common_aspect", 1.0))

    def save(self, data: PreparedImages) -> None:
        """Write the recipe."""
        recipe = {
            **asdict(data.preparation),
            "common_aspect": data.aspect,
            "paths": {digest: path.as_posix() for digest, path in data.paths.items()},
        }
        write_json(self._filepath, recipe)

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath.as_posix()}
