"""From a file to the RGB pixels a backbone sees: a square, or an oblong of the same area."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from PIL import Image

from irp_kedro.features.alignment import Alignment

# Images have a shape in common where nine in ten are within a tenth of it; up to 5 to 4 they count as square.
IN_COMMON, ALIKE, OBLONG = 0.9, 1.1, 1.25
STRIDE = 32  # pixels; by how much the maps of a deep network are smaller than its input

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """How a file becomes pixels.

    Attributes:
        crop: ``none`` keeps the whole image; ``centre`` keeps the centred square of the shorter side.
        size: side of the square that comes out, pixels. Without a crop, the aspect ratio is not kept.
        aligned: how the part of each cropped image is laid level; ``None`` leaves images as they were taken.
        aspect: width over height of what comes out instead of a square, of its area.
    """

    crop: str
    size: int
    aligned: Alignment | None = None
    aspect: float = 1.0

    def __post_init__(self) -> None:
        """Refuse an oblong of what is square already."""
        if self.aspect != 1 and (self.aligned is not None or self.crop == "centre"):
            raise ValueError("Parts that are laid level and centred crops come out square.")

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of what comes out, pixels; of an oblong, multiples of 32.

        >>> Preparation(crop="none", size=320, aspect=0.4).shape
        (512, 192)
        """
        if self.aspect == 1:
            return self.size, self.size
        stretch = math.sqrt(self.aspect)
        height, width = (
            max(1, round(side / STRIDE)) * STRIDE for side in (self.size / stretch, self.size * stretch)
        )
        return height, width

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the preparation that ``dataclasses.asdict`` wrote, among other values or not.

        What was written before parts were laid level, or an aspect kept, says nothing of that.
        """
        aligned = values.get("aligned")
        return cls(
            crop=values["crop"],
            size=values["size"],
            aligned=Alignment(**aligned) if aligned else None,
            aspect=values.get("aspect", 1.0),
        )

    def read(self, path: Path) -> Pixels:
        """Return the image at ``path`` as (height, width, 3) uint8 RGB."""
        if self.aligned is not None:
            image = self._decoded(path, self.aligned)
            return np.asarray(self.aligned.lay(image, self.aligned.pose_of(image), self.size))
        height, width = self.shape
        with Image.open(path) as image:
            # Decoders that can shrink while they decode (JPEG) need not hold the full image.
            image.draft("RGB", (width, height))
            box = _box(image, self.crop)
            resized = as_rgb(image).resize((width, height), Image.Resampling.BILINEAR, box=box)
        return np.asarray(resized)

    def prepare_mask(self, mask: Mask, of: Path) -> Mask:
        """Return a mask as (height, width): what :meth:`read` does to its image, unblended.

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
        height, width = self.shape
        return np.asarray(image.resize((width, height), Image.Resampling.NEAREST, box=box)) > 0

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


def common_aspect(widths: npt.ArrayLike, heights: npt.ArrayLike) -> float:
    """Return width over height of a set of images; 1 where they are nearly square, or not of one shape.

    >>> common_aspect([250, 250, 250], [630, 625, 628]), common_aspect([300, 310], [300, 300])
    (0.4, 1.0)
    """
    aspects = np.log(np.asarray(widths, dtype=np.float64) / np.asarray(heights, dtype=np.float64))
    middle = float(np.median(aspects)) if aspects.size else 0.0
    alike = np.abs(aspects - middle) <= math.log(ALIKE)
    if abs(middle) < math.log(OBLONG) or alike.mean() < IN_COMMON:
        return 1.0
    return round(math.exp(middle), 2)


def grid_shape(n_patches: int, proportion: float) -> tuple[int, int]:
    """Return rows and columns of the grid of patches of an image of that width over height.

    >>> grid_shape(100, 1.0), grid_shape(96, 192 / 512), grid_shape(96, 512 / 192)
    ((10, 10), (16, 6), (6, 16))
    """
    rows = [number for number in range(1, n_patches + 1) if n_patches % number == 0]
    best = min(rows, key=lambda number: abs(math.log(n_patches / number**2 / proportion)))
    return best, n_patches // best


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
        aspect: width over height that the images have in common; 1 where they have none, or are squares.
    """

    def __init__(self, paths: dict[str, Path], preparation: Preparation, aspect: float = 1.0) -> None:
        self.paths = dict(paths)
        self.preparation = preparation
        self.aspect = aspect

    def in_their_shape(self) -> "PreparedImages":
        """Return the same images, to be read in the shape they have in common, not squeezed into a square."""
        return PreparedImages(self.paths, replace(self.preparation, aspect=self.aspect), self.aspect)

    def __len__(self) -> int:
        """Return the number of different images."""
        return len(self.paths)

    def read(self, digest: str) -> Pixels:
        """Return the image whose bytes have that MD5 as (height, width, 3) uint8 RGB."""
        return self.preparation.read(self.paths[digest])
