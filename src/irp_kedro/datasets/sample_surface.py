"""Draws normal metal surfaces, and the strokes and domes that blemishes are made of; touches no file.

Lengths are fractions of the image side and grey values run from 0 to 1, so an item looks alike at every size.
All planes are float64: in float32 the last bit of ``exp`` differs between processors often enough to change a
rounded pixel.
"""

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

Plane = NDArray[np.float64]
Pixels = NDArray[np.uint8]
Range = tuple[float, float]

STROKE_OVERSAMPLING = 4
STROKE_SEGMENTS = 24
# Where the middle of a defect may lie: enough of it shows even at the border.
INSIDE: Range = (0.12, 0.88)


@dataclass(frozen=True, kw_only=True)
class Difficulty:
    """How hard defects are to tell from the surface; change a value here, nowhere else.

    Attributes:
        contrast: strongest change of grey value of a defect, from subtle to clear.
        severity_shape: (a, b) of the beta distribution over that range; b > a favours subtle.
        scratch_length: length of a scratch, fraction of the side.
        spot_size: diameter of a spot, or of a whole cluster, fraction of the side.
        dent_size: diameter of a dent, fraction of the side.
        benign_rate: chance of each of the four benign features on a surface, be it defective or not.
        benign_contrast: strongest change of grey value of a benign feature.
    """

    contrast: Range = (0.05, 0.32)
    severity_shape: Range = (1.1, 1.8)
    scratch_length: Range = (0.08, 0.45)
    spot_size: Range = (0.02, 0.20)
    dent_size: Range = (0.05, 0.25)
    benign_rate: float = 0.35
    benign_contrast: Range = (0.02, 0.07)


DIFFICULTY = Difficulty()


@dataclass(frozen=True, kw_only=True)
class Surface:
    """A surface before the camera sees it.

    Attributes:
        reflectance: (size, size) grey values.
        illumination: (size, size) factors around 1.
        tint: (3,) factors of red, green and blue.
        sensor_noise: (size, size, 3) grey values.
    """

    reflectance: Plane
    illumination: Plane
    tint: Plane
    sensor_noise: Plane

    def photograph(self, change: Plane | float = 0.0) -> Pixels:
        """Return (size, size, 3) pixels of the surface with ``change`` added to its reflectance."""
        grey = (self.reflectance + change) * self.illumination
        colour = grey[:, :, None] * self.tint + self.sensor_noise
        return cast("Pixels", np.rint(np.clip(colour, 0.0, 1.0) * 255.0).astype(np.uint8))


def draw_surface(rng: Generator, size: int) -> Surface:
    """Return the surface of a normal item: rolled metal with many independent variations."""
    angle = np.deg2rad(rng.normal(0.0, 2.5))
    fine, coarse = rng.uniform(0.6, 1.4) * rng.uniform((0.010, 0.006), (0.022, 0.018))
    texture = np.full((size, size), rng.uniform(0.44, 0.68))
    texture += fine * draw_grain(rng, size, rng.uniform(0.05, 0.12), 0.003, angle)
    texture += coarse * draw_grain(rng, size, rng.uniform(0.12, 0.30), 0.010, angle)
    texture += rng.uniform(0.002, 0.014) * draw_grain(rng, size, 0.6, rng.uniform(0.03, 0.08), angle)
    texture += rng.uniform(0.000, 0.012) * draw_grain(rng, size, 0.08, rng.uniform(0.04, 0.12), angle)
    texture -= rng.uniform(0.000, 0.045) * np.maximum(draw_grain(rng, size, 0.005, 0.003, angle) - 2, 0)
    texture += max(0.0, rng.uniform(-0.010, 0.012)) * _machining_lines(rng, size, angle)
    for draw in (_stain, _polishing_marks, _rolling_line, _specks):
        if rng.random() < DIFFICULTY.benign_rate:
            texture += rng.choice((-1, 1)) * rng.uniform(*DIFFICULTY.benign_contrast) * draw(rng, size, angle)
    return Surface(
        reflectance=texture,
        illumination=_illumination(rng, size),
        tint=np.array([0.985, 1.0, 1.015]) + rng.normal(0.0, 0.010, 3),
        sensor_noise=rng.normal(0.0, rng.uniform(0.004, 0.010), (size, size, 3)),
    )


def draw_grain(rng: Generator, size: int, along: float, across: float, angle: float) -> Plane:
    """Return noise of mean 0 and deviation 1, smooth over ``along`` in the direction ``angle``."""
    rows, columns = np.fft.fftfreq(size)[:, None] * size, np.fft.rfftfreq(size)[None, :] * size
    with_grain = columns * np.cos(angle) + rows * np.sin(angle)
    against = rows * np.cos(angle) - columns * np.sin(angle)
    response = np.exp(-2 * np.pi**2 * ((along * with_grain) ** 2 + (across * against) ** 2))
    response[0, 0] = 0.0
    plane = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((size, size))) * response, s=(size, size))
    return cast("Plane", plane / plane.std())


def draw_dome(rng: Generator, size: int, diameter: float, *, centre: Plane, wobble: float) -> Plane:
    """Return an irregular cone: 1 at ``centre`` (x, y), falling to 0 at its edge and beyond."""
    # On a pixel and three wide at least: a defect that falls between pixels would have an empty mask.
    column, row = np.clip(centre * size, 0, size - 1).astype(int)
    radius = max(diameter, 3 / size) / 2
    x, y = _coordinates(size)
    dx, dy = x - x[0, column], y - y[row, 0]
    direction = np.arctan2(dy, dx) - rng.uniform(0, np.pi)
    reach = radius / np.hypot(np.cos(direction), np.sin(direction) / rng.uniform(0.55, 1.0))
    for lobes in range(2, 7):
        reach *= 1 + wobble / lobes * rng.normal() * np.cos(lobes * direction + rng.uniform(0, 2 * np.pi))
    return cast("Plane", np.clip(1 - np.hypot(dx, dy) / np.maximum(reach, 0.3 * radius), 0.0, 1.0))


def draw_stroke(rng: Generator, size: int, path: Plane, *, width: float, softness: float) -> Plane:
    """Return a line of uneven strength, at most 1, along ``path``, some of which must lie on the plane.

    ``width`` and ``softness``, the deviation of the blur of its edge, are fractions of the side.
    """
    scale = size * STROKE_OVERSAMPLING
    canvas = Image.new("L", (scale, scale))
    pen = ImageDraw.Draw(canvas)
    along = np.linspace(0, np.pi, len(path) - 1)
    strength = np.clip(np.sin(along) ** 0.5 * (0.8 + 0.3 * rng.normal(size=len(along))), 0.25, 1.0)
    for start, end, share in zip(path[:-1] * scale, path[1:] * scale, strength, strict=True):
        pen.line([*start, *end], fill=int(255 * share), width=max(1, round(width * scale)))
    small = canvas.resize((size, size), Image.Resampling.BOX)
    plane = ndimage.gaussian_filter(np.asarray(small, dtype=np.float64), softness * size)
    return cast("Plane", plane / plane.max())


def draw_path(rng: Generator, length: float, angle: float, *, bend: float) -> Plane:
    """Return (n_points, 2) x and y of a smooth line around a random point well inside the image."""
    turns = np.linspace(-1, 1, STROKE_SEGMENTS) * rng.normal(0.0, bend)
    turns += np.cumsum(rng.normal(0.0, bend / 4, STROKE_SEGMENTS))
    steps = np.column_stack([np.cos(angle + turns), np.sin(angle + turns)]) * length / STROKE_SEGMENTS
    points = np.vstack([np.zeros(2), np.cumsum(steps, axis=0)])
    return cast("Plane", points - points[STROKE_SEGMENTS // 2] + rng.uniform(*INSIDE, 2))


def _coordinates(size: int) -> tuple[Plane, Plane]:
    axis = (np.arange(size) + 0.5) / size
    return axis[None, :], axis[:, None]


def _machining_lines(rng: Generator, size: int, angle: float) -> Plane:
    x, y = _coordinates(size)
    wave = 2 * np.pi * (y * np.cos(angle) - x * np.sin(angle)) / rng.uniform(0.03, 0.12)
    first, second = rng.uniform(0, 2 * np.pi, 2)
    return cast("Plane", np.sin(wave + first) + rng.uniform(0, 0.6) * np.sin(2 * wave + second))


def _illumination(rng: Generator, size: int) -> Plane:
    x, y = _coordinates(size)
    direction = rng.uniform(0, 2 * np.pi)
    slope = rng.uniform(0.0, 0.2) * ((x - 0.5) * np.cos(direction) + (y - 0.5) * np.sin(direction))
    centre = rng.uniform(0.4, 0.6, 2)
    vignette = rng.uniform(0.1, 0.4) * ((x - centre[0]) ** 2 + (y - centre[1]) ** 2)
    sheen = rng.uniform(0.0, 0.12) * np.exp(-0.5 * ((x - rng.uniform()) / rng.uniform(0.1, 0.3)) ** 2)
    return cast("Plane", 1.0 + slope - vignette + sheen)


def _stain(rng: Generator, size: int, angle: float) -> Plane:
    dome = draw_dome(rng, size, rng.uniform(0.1, 0.4), centre=rng.random(2), wobble=0.35)
    dome *= 1 + 0.2 * draw_grain(rng, size, 0.04, 0.03, angle)
    # Some dried from the rim inwards and left a ring.
    return 4 * dome * (1 - dome) if rng.random() < 0.3 else dome


def _polishing_marks(rng: Generator, size: int, angle: float) -> Plane:
    tilt = angle + rng.normal(0.0, 0.3)
    path = draw_path(rng, rng.uniform(0.1, 0.35), tilt, bend=0.1)
    marks = np.zeros((size, size))
    for offset in rng.uniform(-0.06, 0.06, rng.integers(2, 7)):
        aside = path + offset * np.array([-np.sin(tilt), np.cos(tilt)])
        marks = np.maximum(marks, draw_stroke(rng, size, aside, width=0.006, softness=0.006))
    return marks


def _rolling_line(rng: Generator, size: int, angle: float) -> Plane:
    x, y = _coordinates(size)
    across = (y - rng.uniform(0.05, 0.95)) * np.cos(angle) - (x - 0.5) * np.sin(angle)
    return cast("Plane", np.exp(-0.5 * (across / rng.uniform(0.003, 0.010)) ** 2))


def _specks(rng: Generator, size: int, angle: float) -> Plane:
    specks = np.zeros((size, size))
    for _ in range(rng.integers(1, 5)):
        dome = draw_dome(rng, size, rng.uniform(0.012, 0.03), centre=rng.random(2), wobble=0.3)
        specks = np.maximum(specks, dome)
    return specks
