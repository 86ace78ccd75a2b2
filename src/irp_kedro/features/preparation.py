"""From a file to the square RGB pixels a backbone sees."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """How a file becomes pixels.

    Attributes:
        crop: ``none`` keeps the whole image; ``centre`` keeps the centred square of the shorter side.
        size: side of the square that comes out, pixels. Without a crop, the aspect ratio is not kept.
    """

    crop: str
    size: int

    def read(self, path: Path) -> Pixels:
        """Return the image at ``path`` as (size, size, 3) uint8 RGB."""
        with Image.open(path) as image:
            # Decoders that can shrink while they decode (JPEG) need not hold the full image.
            image.draft("RGB", (self.size, self.size))
            box = centre_square(*image.size) if self.crop == "centre" else None
            resized = as_rgb(image).resize((self.size, self.size), Image.Resampling.BILINEAR, box=box)
        return np.asarray(resized)

    def prepare_mask(self, mask: Mask) -> Mask:
        """Return a mask (height, width) of a whole image as (size, size): what :meth:`read` does, unblended."""
        image = Image.fromarray(mask.astype(np.uint8) * 255)
        box = centre_square(*image.size) if self.crop == "centre" else None
        resized = image.resize((self.size, self.size), Image.Resampling.NEAREST, box=box)
        return np.asarray(resized) > 0


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
