"""The images of a training set as a snapshot holds them: under names that cannot collide, by their MD5."""

import io
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pandas as pd

from irp_kedro.errors import LineageError


@dataclass(frozen=True, kw_only=True)
class StoredImage:
    """One image of a snapshot.

    Attributes:
        image_id: opaque id, unique in the set.
        name: file name in the snapshot: the id with the file's own suffix.
        digest: MD5 of the bytes, DVC's own.
        size: bytes.
        path: the file whose bytes these are.
        original: where the source image lay, relative to the folder that all of them share.
    """

    image_id: str
    name: str
    digest: str
    size: int
    path: str
    original: str


COLUMNS = tuple(field.name for field in fields(StoredImage))


def list_source_images(training: pd.DataFrame) -> list[StoredImage]:
    """Return every image of a training manifest with its own bytes; no image is read.

    Raises:
        LineageError: an image is gone since ingestion.
    """
    gone = [path for path in training["path"] if not Path(path).is_file()]
    if gone:
        raise LineageError(
            f"{len(gone)} images are gone since ingestion read them (first: {gone[0]}). Put them back, or run "
            "again from the start: kedro run"
        )
    return [
        StoredImage(
            image_id=image_id,
            name=image_id + Path(path).suffix.lower(),
            digest=digest,
            size=Path(path).stat().st_size,
            path=path,
            original=original,
        )
        for image_id, digest, path, original in zip(
            training["image_id"],
            training["digest"],
            training["path"],
            original_names(list(training["path"])),
            strict=True,
        )
    ]


def original_names(paths: Sequence[str]) -> list[str]:
    """Return each path relative to the deepest folder that holds all of them.

    >>> original_names(["/set/good/000.png", "/set/bad/000.png"])
    ['good/000.png', 'bad/000.png']
    >>> original_names(["/set/good/000.png"])
    ['000.png']
    """
    if not paths:
        return []
    shared = os.path.commonpath([Path(path).parent for path in paths])
    return [Path(path).relative_to(shared).as_posix() for path in paths]


def as_csv(images: Sequence[StoredImage]) -> bytes:
    """Return the images as a table that :func:`from_csv` reads."""
    table = pd.DataFrame([asdict(image) for image in images], columns=list(COLUMNS))
    return table.to_csv(index=False, lineterminator="\n").encode()


def from_csv(content: bytes) -> list[StoredImage]:
    """Return the images of a table that :func:`as_csv` made.

    Raises:
        ValueError: the bytes are no table.
        KeyError: it lacks a column.
    """
    text = {column: str for column in COLUMNS if column != "size"}
    table = pd.read_csv(io.BytesIO(content), dtype=text, keep_default_na=False).loc[:, list(COLUMNS)]
    return [
        StoredImage(
            image_id=str(row.image_id),
            name=str(row.name),
            digest=str(row.digest),
            size=int(str(row.size)),
            path=str(row.path),
            original=str(row.original),
        )
        for row in table.itertuples(index=False, name="Row")
    ]
