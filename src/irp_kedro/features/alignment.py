"""Parts that lie at any angle, all laid level the same way round (decision 0047)."""

import base64
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import gaussian_filter

from irp_kedro.features.pose import Pose, find_pose, lay_level

# A set of parts at any angle: nearly every image shows a clear one, and they do not all lie alike.
SHOWN_IN = 0.9
ALIKE = 0.9
LONGEST = 0.98  # quantile of the lengths that the common square holds; a few may be longer, and are cut
SPARE = 1.06

# What tells the ends of a part apart is looked for in a small grey picture of it, without its shading.
PICTURE = 48  # side, pixels
SHADING = PICTURE / 12

Picture = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Alignment:
    """How the parts of a set are laid level.

    Attributes:
        side: of the square that each is laid in, in longer sides of its image.
        heading: what pictures of parts and the same turned half round differ in (:class:`PartsSeen`), encoded;
            a part whose picture differs in the same way lies the right way round.
    """

    side: float
    heading: str

    def pose_of(self, image: Image.Image) -> Pose:
        """Return how the part of an image lies; where none is found, upright about the centre.

        Args:
            image: RGB.
        """
        pose = find_pose(image)
        if pose is None:
            return Pose.as_taken(image)
        return pose if odd_part(image, pose) @ self._heading >= 0 else pose.the_other_way_round()

    def lay(self, image: Image.Image, pose: Pose, size: int, *, blend: bool = True) -> Image.Image:
        """Return the square of an image, or of its mask (``blend=False``), with ``size`` pixels a side."""
        return lay_level(image, pose, side=self.side * max(image.size), size=size, blend=blend)

    @cached_property
    def _heading(self) -> Picture:
        return _decoded(self.heading)


@dataclass(frozen=True, kw_only=True)
class PartsSeen:
    """What some images of a set say about the parts they show.

    Attributes:
        n_images: how many were looked at.
        n_clear: how many of them show one clear part with a long axis.
        alike: length of the mean direction of these axes, angles doubled: 1 where all are parallel, near 0
            where they lie at any angle.
        alignment: that would lay them level.
    """

    n_images: int
    n_clear: int
    alike: float
    alignment: Alignment

    @classmethod
    def among(cls, images: Iterable[Image.Image]) -> Self:
        """Look for a part in each image (RGB), whatever its label.

        Which way round each lies is told by the first principal component of what its picture and the picture
        turned half round differ in: a shape, a print or a hole that most of them share. That component points
        the way in which most of them have the lighter end to the right.
        """
        n_images, directions, lengths, odd = 0, [], [], []
        for image in images:
            n_images += 1
            pose = find_pose(image)
            if pose is not None and pose.clear:
                directions.append(np.exp(2j * math.radians(pose.angle)))
                lengths.append(pose.length / max(image.size))
                odd.append(odd_part(image, pose))
        side = round(SPARE * float(np.quantile(lengths, LONGEST)), 3) if lengths else 0.0
        return cls(
            n_images=n_images,
            n_clear=len(lengths),
            alike=float(abs(np.mean(directions))) if directions else 1.0,
            alignment=Alignment(side=side, heading=_encoded(_principal(odd)) if odd else ""),
        )

    @property
    def in_every_image(self) -> bool:
        """Whether all images but a few show one."""
        return self.n_clear > 0 and self.n_clear >= SHOWN_IN * self.n_images

    @property
    def at_any_angle(self) -> bool:
        """Whether they do not all lie alike."""
        return self.alike < ALIKE


def odd_part(image: Image.Image, pose: Pose) -> Picture:
    """Return what the picture of a part and the same turned half round differ in, as a vector of length 1."""
    laid = lay_level(image.convert("L"), pose, side=SPARE * max(pose.length, 1), size=PICTURE)
    grey = np.asarray(laid, dtype=np.float64)
    fine = grey - gaussian_filter(grey, SHADING)
    odd: Picture = (fine - fine[::-1, ::-1]).ravel()
    length = float(np.linalg.norm(odd))
    return odd / length if length else odd


def _principal(odd: list[Picture]) -> Picture:
    together = np.stack(odd)
    first: Picture = np.linalg.svd(together, full_matrices=False)[2][0]
    return first if (together @ first).sum() >= 0 else np.negative(first)


def _encoded(heading: Picture) -> str:
    """Return the upper half in steps of a 127th; the lower one is its negative, turned."""
    steps = np.rint(127 * heading / max(np.abs(heading).max(), 1e-12)).astype(np.int8)
    return base64.b64encode(steps[: len(steps) // 2].tobytes()).decode()


def _decoded(heading: str) -> Picture:
    upper = np.frombuffer(base64.b64decode(heading), dtype=np.int8).astype(np.float64)
    return np.concatenate([upper, -upper[::-1]])
