"""Reads one image and its mask, every pixel of both, and says what is wrong with them."""

import hashlib
import io
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from irp_kedro.core.manifest import ANOMALOUS
from irp_kedro.datasets.sources import ImageRecord

Size = tuple[int, int]
# What Pillow raises on damaged files, seen by cutting and overwriting bytes, or named in its sources.
DECODE_ERRORS = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    IndexError,
    TypeError,
    struct.error,
    Image.DecompressionBombError,
)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What reading one image, and its mask if it has one, showed.

    Attributes:
        digest: MD5 of the file, 32 hex digits; empty where it cannot be read.
        width: pixels; 0 where it cannot be read.
        height: pixels; 0 where it cannot be read.
        faults: one text for each thing that is wrong, which names the file.
    """

    record: ImageRecord
    digest: str
    width: int
    height: int
    faults: list[str]


def read_image(record: ImageRecord) -> Reading:
    """Return what the image and its mask are, or what is wrong with them."""
    digest, size = "", (0, 0)
    faults: list[str] = []
    try:
        content = record.path.read_bytes()
        size = _decoded_size(content)
        digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    except FileNotFoundError:
        return Reading(record=record, digest=digest, width=0, height=0, faults=[_missing_image(record)])
    except DECODE_ERRORS as error:
        faults.append(f"{record.path}: unreadable image: {reason(error)}")
    if record.mask_path is not None:
        faults += _mask_faults(record, record.mask_path, size)
    return Reading(record=record, digest=digest, width=size[0], height=size[1], faults=faults)


def read_mask(path: Path) -> NDArray[np.bool_]:
    """Return (height, width): which pixels of a mask are marked, that is, not black.

    Raises:
        OSError: the file is missing or unreadable; damaged files raise others of :data:`DECODE_ERRORS` too.
    """
    with Image.open(path) as image:
        has_alpha_or_palette = image.mode in {"P", "PA", "LA", "RGBA"}
        values = np.asarray(image.convert("RGBA"))[..., :3] if has_alpha_or_palette else np.asarray(image)
    marked = values != 0
    return cast("NDArray[np.bool_]", marked.any(axis=2) if marked.ndim == 3 else marked)


def _decoded_size(content: bytes) -> Size:
    """Return (width, height) in pixels after decoding every pixel, which opening alone does not."""
    if not content:
        raise ValueError("the file is empty")
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        return image.size


def _missing_image(record: ImageRecord) -> str:
    if record.mask_path is None or not record.mask_path.exists():
        return f"{record.path}: image missing"
    return f"{record.mask_path}: mask without an image; expected '{record.path.stem}' in {record.path.parent}"


def _mask_faults(record: ImageRecord, mask_path: Path, size: Size) -> list[str]:
    try:
        marked = read_mask(mask_path)
    except FileNotFoundError:
        return [f"{record.path}: image without its mask; expected {mask_path}"]
    except DECODE_ERRORS as error:
        return [f"{mask_path}: unreadable mask: {reason(error)}"]
    faults = []
    height, width = marked.shape
    if size not in {(0, 0), (width, height)}:
        faults.append(f"{mask_path}: the mask is {width} x {height} pixels, its image {size[0]} x {size[1]}")
    if record.label == ANOMALOUS and not marked.any():
        faults.append(f"{mask_path}: the mask of an anomalous image is completely black")
    return faults


def reason(error: Exception) -> str:
    """Return in a few words why a file could not be decoded."""
    if isinstance(error, UnidentifiedImageError):
        return "no known image format, or its first bytes are damaged"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
