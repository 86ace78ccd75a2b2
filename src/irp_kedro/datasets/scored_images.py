"""New images from a folder, read, scored and drawn one small batch after the other."""

import math
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from irp_kedro.core.anomaly_maps import Maps
from irp_kedro.datasets.image_files import SUFFIXES
from irp_kedro.datasets.image_reading import DECODE_ERRORS, reason
from irp_kedro.errors import SourceError
from irp_kedro.features.heat_map import overlaid, scaled
from irp_kedro.features.preparation import Pixels, Preparation
from irp_kedro.scoring import Scorer
from irp_kedro.writing import file_aside


@dataclass(frozen=True, kw_only=True)
class ScoredImage:
    """One image of the folder.

    Attributes:
        path: of the file.
        score: higher = more anomalous; ``None`` where the file cannot be read or its score is no finite number.
        anomalous: whether the score is above the threshold, or no finite number.
        pixels: the prepared image; ``None`` where the file cannot be read.
        fault: why it cannot be read, or has no score.
        seconds: from opening the first file of its batch to the scores of the batch.
    """

    path: Path
    score: float | None = None
    anomalous: bool = False
    pixels: Pixels | None = None
    fault: str = ""
    seconds: float = 0.0

    @property
    def verdict(self) -> str:
        """``normal``, ``anomalous``, or ``unreadable``."""
        if self.anomalous:
            return "anomalous"
        return "unreadable" if self.score is None else "normal"


def find_images(folder: Path) -> list[Path]:
    """Return every image in ``folder`` and below it, sorted by path; hidden files and folders are skipped.

    Raises:
        SourceError: there is no such folder, or no image in it.
    """
    if not folder.is_dir():
        raise SourceError(f"'{folder}' is no folder; name the folder of the images to score.")
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        seen = [name for name in names if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES]
        found += [Path(place) / name for name in seen]
    if not found:
        raise SourceError(f"'{folder}' holds no image; files ending in {', '.join(SUFFIXES)} are read.")
    return sorted(found)


def score_files(scorer: Scorer, paths: Sequence[Path]) -> Iterator[ScoredImage]:
    """Yield each image with its score, in order; one that cannot be read ends nothing."""
    for start in range(0, len(paths), scorer.together):
        started = time.perf_counter()
        read = [_read(path, scorer.preparation) for path in paths[start : start + scorer.together]]
        readable = [image.pixels for image in read if image.pixels is not None]
        scores = iter(scorer.score(readable) if readable else ())
        seconds = time.perf_counter() - started
        for image in read:
            if image.pixels is None:
                yield image
                continue
            score = float(next(scores))
            finite = math.isfinite(score)
            yield ScoredImage(
                path=image.path,
                score=score if finite else None,
                # What nobody could score must not pass for good.
                anomalous=not finite or score > scorer.threshold,
                pixels=image.pixels,
                fault="" if finite else f"its score is {score}, so somebody should look at it",
                seconds=seconds,
            )


def map_path(drawn: Path, folder: Path, image: Path) -> Path:
    """Return where the map of an image below ``folder`` is drawn; its own suffix stays, so that no two meet.

    >>> map_path(Path("out/maps"), Path("new"), Path("new/monday/1.jpg")).as_posix()
    'out/maps/monday/1.jpg.png'
    """
    below = image.relative_to(folder)
    return drawn / below.with_name(f"{below.name}.png")


def write_heat_map(path: Path, pixels: Pixels, anomaly_map: Maps, limits: tuple[float, float]) -> None:
    """Write the image with its map over it as a PNG; values up to ``limits[0]`` leave the image as it is."""
    picture = Image.fromarray(overlaid(pixels, scaled(anomaly_map.astype(np.float64), *limits)))
    with file_aside(path) as aside:
        picture.save(aside, format="PNG")


def _read(path: Path, preparation: Preparation) -> ScoredImage:
    try:
        return ScoredImage(path=path, pixels=preparation.read(path))
    except DECODE_ERRORS as error:
        return ScoredImage(path=path, fault=reason(error))
