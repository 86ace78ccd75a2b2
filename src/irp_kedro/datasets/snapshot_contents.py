"""``snapshot_contents``: the images that snapshots hold, by name and MD5; prepared ones are written here."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from kedro.io import AbstractDataset, DatasetError
from PIL import Image

from irp_kedro.features.preparation import PreparedImages
from irp_kedro.lineage.contents import StoredImage, as_csv, from_csv, list_source_images, original_names
from irp_kedro.lineage.pointer import file_md5
from irp_kedro.writing import file_aside


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What snapshots of a training set are to hold.

    Attributes:
        training: its manifest.
        prepared: its images, where snapshots hold prepared pixels; ``None``: the source files' own bytes.
    """

    training: pd.DataFrame
    prepared: PreparedImages | None


class SnapshotContentsDataset(AbstractDataset[Contents, list[StoredImage]]):
    """A table of the images, and, for prepared ones, a folder ``<stem>/`` beside it with a PNG of each.

    Args:
        filepath: the table (CSV).
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def save(self, data: Contents) -> None:
        """List the images; prepared ones are made and written first."""
        if data.prepared is None:
            images = list_source_images(data.training)
        else:
            images = _write_prepared(data.training, data.prepared, self._filepath.with_suffix(""))
        with file_aside(self._filepath) as aside:
            aside.write_bytes(as_csv(images))

    def load(self) -> list[StoredImage]:
        """Return the images."""
        if not self._filepath.is_file():
            raise DatasetError(
                f"No snapshot contents at '{self._filepath}'. Run: kedro run --pipelines refinement"
            )
        return from_csv(self._filepath.read_bytes())

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath.as_posix()}


def _write_prepared(training: pd.DataFrame, prepared: PreparedImages, folder: Path) -> list[StoredImage]:
    rows = zip(training["image_id"], training["digest"], original_names(list(training["path"])), strict=True)
    images = []
    for image_id, digest, original in rows:
        path = folder / f"{image_id}.png"
        with file_aside(path) as aside:
            Image.fromarray(prepared.read(digest)).save(aside, format="PNG")
        stored = StoredImage(
            image_id=image_id,
            name=path.name,
            digest=file_md5(path),
            size=path.stat().st_size,
            path=path.as_posix(),
            original=Path(original).with_suffix(".png").as_posix(),
        )
        images.append(stored)
    return images
