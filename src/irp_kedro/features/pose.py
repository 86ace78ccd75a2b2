"""Where the part of an image lies, and the image with it laid level (decision 0047).

Coordinates are pixels of the image from its upper left corner, x to the right and y down.
"""

import functools
import math
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter
from skimage.filters import threshold_otsu
from skimage.measure import label

Points = npt.NDArray[np.floating]

FOUND_ON = 160  # longer side of the reduced image in which a part is looked for, pixels
RIM = 2  # width of the frame that shows the background there, pixels

# One part before an even background: most of what is no background, in one piece that the frame hardly cuts.
IN_ONE_PIECE = 0.8
CUT_BY_FRAME = 0.02
SMALLEST = 0.01  # of the image
ROUNDEST = 0.7  # variance across over variance along: what is rounder has no axis to lay level

# Beyond an image its edge goes on, blurred; around the disc that is shown all is blurred: how far, in sides.
EDGE, AROUND, FADING = 0.03, 0.12, 0.03


@dataclass(frozen=True, kw_only=True)
class Pose:
    """Where a part lies.

    Attributes:
        centre: (x, y) half-way along the part and half-way across it.
        angle: degrees from the x axis, clockwise on the screen, of its long axis towards the lighter end.
        length: extent along that axis, pixels.
        clear: whether there is no doubt which part: one piece, before a background that fills the frame.
    """

    centre: tuple[float, float]
    angle: float
    length: float
    clear: bool

    @classmethod
    def as_taken(cls, image: Image.Image) -> Self:
        """Return the pose that leaves an image upright about its own centre."""
        centre = (image.width / 2, image.height / 2)
        return cls(centre=centre, angle=0.0, length=float(max(image.size)), clear=False)

    def the_other_way_round(self) -> Self:
        """Return the pose of the same part with its ends taken for each other."""
        return replace(self, angle=self.angle + 180)


def find_pose(image: Image.Image) -> Pose | None:
    """Return how the largest part before the background lies; ``None`` where there is none, or it is round.

    The background is the median colour of the frame; what differs more than by Otsu's threshold is part.

    Args:
        image: RGB.
    """
    reduction = min(1.0, FOUND_ON / max(image.size))
    size = [max(1, round(side * reduction)) for side in image.size]
    pixels = np.asarray(image.resize((size[0], size[1]), Image.Resampling.BOX), dtype=np.float64)
    if min(pixels.shape[:2]) <= 2 * RIM:
        return None
    frame = np.ones(pixels.shape[:2], dtype=np.bool_)
    frame[RIM:-RIM, RIM:-RIM] = False
    difference = np.abs(pixels - np.median(pixels[frame], axis=0)).max(axis=2)
    if difference.min() == difference.max():
        return None
    foreground = difference > threshold_otsu(difference)
    pieces = label(foreground)
    part = pieces == 1 + np.bincount(pieces[foreground])[1:].argmax()
    one_piece = part.sum() >= IN_ONE_PIECE * foreground.sum()
    clear = bool(one_piece and part.mean() >= SMALLEST and part[frame].mean() <= CUT_BY_FRAME)
    return _along_its_axis(np.argwhere(part)[:, ::-1] + 0.5, size[0] / image.width, clear=clear)


def _along_its_axis(points: Points, reduction: float, *, clear: bool) -> Pose | None:
    """Return the pose of a part, ``None`` for a round one, from (x, y) of its pixels in the reduced image."""
    if len(points) < 2:
        return None
    middle = points.mean(axis=0)
    variances, axes = np.linalg.eigh(np.cov((points - middle).T))
    if variances[0] > ROUNDEST * variances[1]:
        return None
    axis = axes[:, 1]
    along = (points - middle) @ axis
    if (along**3).sum() < 0:  # the thinner end reaches out farther
        axis, along = -axis, -along
    across = (points - middle) @ np.array([-axis[1], axis[0]])
    halfway, aside = (along.min() + along.max()) / 2, (across.min() + across.max()) / 2
    centre = (middle + halfway * axis + aside * np.array([-axis[1], axis[0]])) / reduction
    return Pose(
        centre=(float(centre[0]), float(centre[1])),
        angle=math.degrees(math.atan2(axis[1], axis[0])),
        length=float(along.max() - along.min()) / reduction,
        clear=clear,
    )


def lay_level(image: Image.Image, pose: Pose, *, side: float, size: int, blend: bool = True) -> Image.Image:
    """Return a square of an image, its part level in the middle with the heavier end to the left.

    Only a disc lies within the image however it is turned, so what lies outside of it is shown blurred: dust
    and the image's own edge, which lie elsewhere in each image, are nothing that sets a part apart.

    Args:
        image: RGB, or one channel.
        pose: of its part.
        side: of the square in the image, pixels. Beyond an image its edge, blurred, goes on; beyond a mask
            there is nothing.
        size: side of the square that comes out, pixels.
        blend: False takes the nearest pixel, for masks.
    """
    if not blend:
        return _turned(image, pose, side, size, Image.Resampling.NEAREST)
    finer = 2 * size  # turned at twice the size and then halved, so that no line is skipped
    if side > finer:
        image, pose, side = _reduced(image, pose, side, finer / side)
    laid = _turned(image, pose, side, finer, Image.Resampling.BICUBIC).reduce(2)
    return Image.composite(laid, laid.filter(ImageFilter.GaussianBlur(AROUND * size)), _disc(size))


@functools.lru_cache
def _disc(size: int) -> Image.Image:
    """Return how much of each pixel of a square is shown as it is, of 255."""
    place = (np.arange(size) + 0.5) / size - 0.5
    shown = ((0.5 - np.hypot(place[:, None], place)) / FADING).clip(0, 1)
    return Image.fromarray(np.rint(255 * shown).astype(np.uint8))


def _turned(
    image: Image.Image, pose: Pose, side: float, size: int, resampling: Image.Resampling
) -> Image.Image:
    step, turn = side / size, math.radians(pose.angle)
    cosine, sine = step * math.cos(turn), step * math.sin(turn)
    x, y = pose.centre
    reach = side / math.sqrt(2) + 2  # of the square's corners
    left, top = _beyond(reach - x), _beyond(reach - y)
    right, bottom = _beyond(x + reach - image.width), _beyond(y + reach - image.height)
    margins = [(top, bottom), (left, right), (0, 0)]
    padded = Image.fromarray(_padded(image, margins, blend=resampling is not Image.Resampling.NEAREST))
    # What lies at (u, v) of the square: centre + turned (u - middle, v - middle).
    middle = size / 2
    across = (cosine, -sine, x + left - (cosine - sine) * middle)
    down = (sine, cosine, y + top - (sine + cosine) * middle)
    return padded.transform((size, size), Image.Transform.AFFINE, (*across, *down), resampling)


def _padded(image: Image.Image, margins: list[tuple[int, int]], *, blend: bool) -> npt.NDArray[np.uint8]:
    """Return an image with margins; without the blur, dust at an edge would become a line across a corner."""
    pixels = np.asarray(image)
    around = margins[: pixels.ndim]
    if not blend:
        return np.pad(pixels, around)
    edges = np.asarray(image.filter(ImageFilter.GaussianBlur(EDGE * max(image.size))))
    padded = np.pad(edges, around, mode="edge")
    (top, _), (left, _), *_ = around
    padded[top : top + image.height, left : left + image.width] = pixels
    return padded


def _beyond(distance: float) -> int:
    return max(0, math.ceil(distance))


def _reduced(image: Image.Image, pose: Pose, side: float, reduction: float) -> tuple[Image.Image, Pose, float]:
    size = (max(1, round(image.width * reduction)), max(1, round(image.height * reduction)))
    smaller = image.resize(size, Image.Resampling.BILINEAR)
    centre = (pose.centre[0] * reduction, pose.centre[1] * reduction)
    return smaller, replace(pose, centre=centre, length=pose.length * reduction), side * reduction
