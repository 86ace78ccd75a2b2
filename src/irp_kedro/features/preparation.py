"""From a file to the square RGB pixels a backbone sees."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from PIL import Image

from irp_kedro.features.alignment import Alignment

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """How a file becomes pixels.

    Attributes:
        crop: ``none`` keeps the whole image; ``centre`` keeps the centred square of the shorter side.
        size: side of the square that comes out, pixels. Without a crop, the aspect ratio is not kept.
        aligned: how the part of each cropped image is laid level; ``None`` leaves images as they were taken.
    """

    crop: str
    size: int
    aligned: Alignment | None = None

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the preparation that ``dataclasses.asdict`` wrote, among other values or not.

        What was written before parts were laid level says nothing of that.
        """
        aligned = values.get("aligned")
        return cls(crop=values["crop"], size=values["size"], aligned=Alignment(**aligned) if aligned else None)

    def read(self, path: Path) -> Pixels:
        """Return the image at ``path`` as (size, size, 3) uint8 RGB."""
        if self.aligned is not None:
            image = self._decoded(path, self.aligned)
            return np.asarray(self.aligned.lay(image, self.aligned.pose_of(image), self.size))
        with Image.open(path) as image:
            # Decoders that can shrink while they decode (JPEG) need not hold the full image.
            image.draft("RGB", (self.size, self.size))
            box = _box(image, self.crop)
            resized = as_rgb(image).resize((self.size, self.size), Image.Resampling.BILINEAR, box=box)
        return np.asarray(resized)

    def prepare_mask(self, mask: Mask, of: Path) -> Mask:
        """Return a mask as (size, size): what :meth:`read` does to its image, unblended.

        Args:
            mask: (height, width) of the whole image.
            of: file of that image; opened only where parts are laid level.
        """
        image = Image.fromarray(mask.astype(np.uint8) * 255)
        box = _box(image, self.crop)
        if self.aligned is not None:
            shown = self._decoded(of, self.aligned)
            alike = image.resize(shown.size, Image.Resampling.NEAREST, box=box)
            return np.asarray(self.aligned.lay(alike, self.aligned.pose_of(shown), self.size, blend=False)) > 0
        resized = image.resize((self.size, self.size), Image.Resampling.NEAREST, box=box)
        return np.asarray(resized) > 0

    def _decoded(self, path: Path, aligned: Alignment) -> Image.Image:
        return decode(path, self.crop, math.ceil(2 * self.size / aligned.side))


def decode(path: Path, crop: str, needed: int) -> Image.Image:
    """Return the image at ``path`` as RGB, cropped; a decoder may reduce it to ``needed`` pixels at least."""
    with Image.open(path) as image:
        image.draft("RGB", (needed, needed))
        return as_rgb(image).crop(_box(image, crop))


def _box(image: Image.Image, crop: str) -> tuple[int, int, int, int] | None:
    return centre_square(*image.size) if crop == "centre" else None


def centre_square(width: int, height: int) -> tuple[int, int, int, int]:
    """Return (left, top, right, bottom) of the centred square of the shorter side, pixels.

    >>> centre_square(250, 630)
    (0, 190, 250, 440)
    """
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    return left, top, left + side, top + side


def as_rgb(image: Image.Image) -> Image.Image:
    """Return any image as 8-bit RGB; grey is repeated, 16-bit grey keeps its upper 8 bits."""
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        shift = 8 if values.max(initial=0) > 255 else 0
        image = Image.fromarray((values >> shift).clip(0, 255).astype(np.uint8))
    if image.mode in {"P", "LA", "PA"}:
        image = image.convert("RGBA")
    return image.convert("RGB")


class PreparedImages:
    """The prepared images of a set, decoded only when asked for: no second copy on disk.

    Args:
        paths: file of each image, by the MD5 of its bytes; images with equal bytes are one.
        preparation: how each file becomes pixels.
    """

    def __init__(self, paths: dict[str, Path], preparation: Preparation) -> None:
        self.paths = dict(paths)
        self.preparation = preparation

    def __len__(self) -> int:
        """Return the number of different images."""
        return len(self.paths)

    def read(self, digest: str) -> Pixels:
        """Return the image whose bytes have that MD5 as (size, size, 3) uint8 RGB."""
        return self.preparation.read(self.paths[digest])
