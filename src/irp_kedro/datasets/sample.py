"""The embedded sample: metal surfaces with scratches, spots and dents, generated from a seed.

No download, no third-party image: :mod:`irp_kedro.datasets.sample_surface` draws the metal, this module its
defects. The layout on disk is that of MVTec AD. Every image is a function of the seed, its folder, its index
and the image size alone, so asking for more images leaves the first ones as they were.
"""

import hashlib
import json
import logging
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import cast

import numpy as np
from filelock import FileLock
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from irp_kedro.core.manifest import ANOMALOUS, NORMAL
from irp_kedro.core.seeding import stream
from irp_kedro.datasets.sample_surface import (
    DIFFICULTY,
    INSIDE,
    Pixels,
    Plane,
    draw_dome,
    draw_grain,
    draw_path,
    draw_stroke,
    draw_surface,
)
from irp_kedro.datasets.sources import ImageRecord, SourceRequest
from irp_kedro.errors import SourceError
from irp_kedro.parameters import SampleParameters

Mask = NDArray[np.bool_]

logger = logging.getLogger(__name__)

PRODUCT_CLASS = "sample"
# Raise it when the drawing changes: an earlier folder must not pass for the new images.
GENERATOR_VERSION = 1
# A change below this share of a defect's strongest change is its soft edge, which no eye would outline.
MASK_SHARE = 0.2


def read(request: SourceRequest) -> list[ImageRecord]:
    """Return the sample's images, after generating them if they are not on disk yet.

    Raises:
        SourceError: the request names a path or a class; the sample has neither.
    """
    if request.path is not None or request.product_class not in ("", PRODUCT_CLASS):
        raise SourceError(
            f"The sample is generated: it has no path (found {request.path}) and no product_class (found "
            f"'{request.product_class}'). Leave both empty, or choose another dataset.name."
        )
    folder = request.raw.absolute() / f"sample-{sample_digest(request.sample)}"
    records = list_records(folder, request.sample)
    if not _is_complete(records):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            # Another run may have generated it while this one waited.
            if not _is_complete(records):
                _generate(folder, request.sample)
    return records


def sample_digest(parameters: SampleParameters) -> str:
    """Return 8 hex digits that identify the parameters, the difficulty and the version of the generator."""
    content = [GENERATOR_VERSION, asdict(DIFFICULTY), parameters.model_dump(mode="json")]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]


def list_records(folder: Path, parameters: SampleParameters) -> list[ImageRecord]:
    """Return the records of a sample generated into ``folder``, whether or not it is there."""
    normal = [
        ImageRecord(
            path=folder / split / "good" / f"{index:04d}.png",
            split=split,
            product_class=PRODUCT_CLASS,
            label=NORMAL,
        )
        for split, count in (("train", parameters.normal_train), ("test", parameters.normal_test))
        for index in range(count)
    ]
    anomalous = [
        ImageRecord(
            path=folder / "test" / defect_type / f"{index:04d}.png",
            split="test",
            product_class=PRODUCT_CLASS,
            label=ANOMALOUS,
            defect_type=defect_type,
            mask_path=folder / "ground_truth" / defect_type / f"{index:04d}_mask.png",
        )
        for position, defect_type in enumerate(DEFECT_TYPES)
        for index in range(len(range(position, parameters.defective, len(DEFECT_TYPES))))
    ]
    return normal + anomalous


def draw_normal(seed: int, split: str, index: int, size: int) -> Pixels:
    """Return (size, size, 3) pixels of the normal item ``index`` of ``split``."""
    return draw_surface(stream(seed, "sample", f"{split}/good", index), size).photograph()


def draw_defective(seed: int, defect_type: str, index: int, size: int) -> tuple[Pixels, Pixels, Mask]:
    """Return an item without its defect and with it, (size, size, 3), and the defect's (size, size) mask."""
    names = ("sample", f"test/{defect_type}", index)
    surface = draw_surface(stream(seed, *names), size)
    rng = stream(seed, *names, "defect")
    change = DEFECTS[defect_type](rng, size)
    low, high = DIFFICULTY.contrast
    change *= (low + (high - low) * rng.beta(*DIFFICULTY.severity_shape)) / np.abs(change).max()
    mask = np.abs(change) > MASK_SHARE * np.abs(change).max()
    # The seam between a dent's light and dark flank does not change, yet belongs to the dent.
    seam = size // 48 if defect_type == "dent" else 1
    mask |= ndimage.binary_closing(mask, iterations=max(1, seam))
    return surface.photograph(), surface.photograph(change), mask


def _is_complete(records: list[ImageRecord]) -> bool:
    return all(r.path.is_file() and (r.mask_path is None or r.mask_path.is_file()) for r in records)


def _generate(folder: Path, parameters: SampleParameters) -> None:
    """Write the sample beside ``folder`` and rename it there, so that an interruption leaves no half set."""
    partial = folder.with_name(f"{folder.name}.partial")
    for leftover in (partial, folder):
        if leftover.exists():
            shutil.rmtree(leftover)
    records = list_records(partial, parameters)
    logger.info("generating %d sample images of %d pixels", len(records), parameters.size)
    for record in records:
        _write(record, parameters)
    partial.rename(folder)


def _write(record: ImageRecord, parameters: SampleParameters) -> None:
    index = int(record.path.stem)
    if record.mask_path is None:
        pixels = draw_normal(parameters.seed, record.split, index, parameters.size)
    else:
        _, pixels, mask = draw_defective(parameters.seed, record.defect_type, index, parameters.size)
        record.mask_path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.where(mask, 255, 0).astype(np.uint8)).save(record.mask_path)
    record.path.parent.mkdir(parents=True, exist_ok=True)
    # A third of the time of the default level 6 and files larger by 15 %: sensor noise hardly compresses.
    Image.fromarray(pixels).save(record.path, compress_level=3)


def _scratch(rng: Generator, size: int) -> Plane:
    angle = rng.uniform(0, np.pi)
    path = draw_path(rng, _between(rng, DIFFICULTY.scratch_length), angle, bend=0.25)
    width = rng.uniform(0.003, 0.010)
    groove = draw_stroke(rng, size, path, width=width, softness=rng.uniform(0.001, 0.004))
    aside = path + width * np.array([-np.sin(angle), np.cos(angle)])
    burr = draw_stroke(rng, size, aside, width=width, softness=0.003)
    return cast("Plane", rng.choice((-1, 1)) * (groove - rng.uniform(0.0, 0.6) * burr))


def _spot(rng: Generator, size: int) -> Plane:
    diameter = _between(rng, DIFFICULTY.spot_size)
    centre = rng.uniform(*INSIDE, 2)
    members = rng.integers(3, 8) if rng.random() < 0.3 else 1
    dome = np.zeros((size, size))
    for _ in range(members):
        share = 1.0 if members == 1 else rng.uniform(0.2, 0.5)
        aside = (1 - share) * diameter / 2 * rng.uniform(-1, 1, 2)
        member = draw_dome(rng, size, diameter * share, centre=centre + aside, wobble=0.3)
        dome = np.maximum(dome, member)
    ragged = dome * (1 + 0.35 * draw_grain(rng, size, 0.02, 0.015, rng.uniform(0, np.pi)).clip(-2, 2))
    spot = np.minimum(ragged / rng.uniform(0.2, 0.8), 1.0)
    # Dirt and oxide darken metal; bare spots, which are rarer, brighten it.
    return cast("Plane", rng.choice((-1, 1), p=(0.65, 0.35)) * spot * spot * (3 - 2 * spot))


def _dent(rng: Generator, size: int) -> Plane:
    diameter = _between(rng, DIFFICULTY.dent_size)
    dome = draw_dome(rng, size, diameter, centre=rng.uniform(*INSIDE, 2), wobble=0.25)
    height = ndimage.gaussian_filter(dome * dome * (3 - 2 * dome), 0.08 * diameter * size)
    slope_y, slope_x = np.gradient(height)
    light = np.deg2rad(rng.normal(-120.0, 25.0))
    pushed_in = rng.choice((-1, 1), p=(0.3, 0.7))
    return cast("Plane", pushed_in * (slope_x * np.cos(light) + slope_y * np.sin(light)))


def _between(rng: Generator, bounds: tuple[float, float]) -> float:
    """Return a log-uniform draw: as many defects between 2 and 4 % of the side as between 10 and 20 %."""
    return float(np.exp(rng.uniform(*np.log(bounds))))


DEFECTS = {"scratch": _scratch, "spot": _spot, "dent": _dent}
DEFECT_TYPES = tuple(DEFECTS)
