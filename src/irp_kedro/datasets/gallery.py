"""``gallery``: the images a person should look at, as thumbnails that need no other file."""

import base64
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError
from kedro_datasets._typing import ImagePreview

from irp_kedro.reporting.gallery import GalleryImage, contact_sheet
from irp_kedro.writing import folder_aside, write_json

FILE, SHEET = "gallery.json", "contact_sheet.png"


class GalleryDataset(AbstractDataset[list[GalleryImage], list[GalleryImage]]):
    """Keep the gallery in a folder: ``gallery.json``, and ``contact_sheet.png``, all of them at a glance.

    Args:
        filepath: the folder.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def save(self, data: list[GalleryImage]) -> None:
        """Write thumbnails and sheet."""
        with folder_aside(self._filepath) as folder:
            write_json(folder / FILE, [asdict(image) for image in data])
            (folder / SHEET).write_bytes(contact_sheet(data))

    def load(self) -> list[GalleryImage]:
        """Return the images in order."""
        if not self._exists():
            raise DatasetError(f"No gallery at '{self._filepath}'. Run: kedro run --pipelines reporting")
        content = json.loads((self._filepath / FILE).read_text(encoding="utf-8"))
        return [GalleryImage(**image | {"away": tuple(image.get("away", ()))}) for image in content]

    def preview(self) -> ImagePreview:
        """Return the contact sheet for kedro-viz."""
        return ImagePreview(base64.b64encode((self._filepath / SHEET).read_bytes()).decode("ascii"))

    def _exists(self) -> bool:
        return (self._filepath / FILE).is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath.as_posix()}
