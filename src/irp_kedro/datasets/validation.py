"""Every image is read once and decoded in full before a run relies on it; all faults come in one message."""

import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import pandas as pd
from rich.console import Console
from rich.progress import Progress

from irp_kedro.core.manifest import ANOMALOUS, NORMAL, SPLITS, as_manifest, opaque_ids
from irp_kedro.datasets.image_reading import Reading, read_image, read_mask
from irp_kedro.datasets.sources import ImageRecord
from irp_kedro.errors import InvalidImagesError, SourceError
from irp_kedro.features.preparation import centre_square

OnDuplicate = Literal["drop", "error", "keep"]

logger = logging.getLogger(__name__)


def validate_images(
    records: Sequence[ImageRecord], *, on_duplicate: OnDuplicate, progress: bool = True
) -> pd.DataFrame:
    """Return the manifest of the images, sorted by path, or name every fault in them.

    Args:
        records: what a source listed.
        on_duplicate: what happens to images of one split with the same bytes: ``drop`` keeps the first by
            path and logs a warning, ``error`` makes them a fault, ``keep`` keeps all. The same bytes in both
            splits, or under two labels, are always a fault.
        progress: draw a progress bar where standard error is a terminal.

    Raises:
        InvalidImagesError: images or masks are missing, unreadable, contradictory or repeated.
        SourceError: there are no records, or none to train on.
    """
    if not any(record.split == "train" for record in records):
        raise SourceError(
            f"The source lists no training image among {len(records)} images; at least one is needed."
        )
    readings = _read_all(sorted(records, key=lambda record: record.path.as_posix()), progress=progress)
    repeats = _group_by_digest(reading for reading in readings if reading.digest)
    faults = [
        *(fault for reading in readings for fault in reading.faults),
        *_pairing_faults(records),
        *(fault for copies in repeats for fault in _repeat_faults(copies, on_duplicate)),
    ]
    if faults:
        raise InvalidImagesError(faults)
    return _manifest(readings if on_duplicate == "keep" else _without_repeats(readings))


def count_lost_masks(manifest: pd.DataFrame, *, crop: Literal["none", "centre"]) -> tuple[int, int]:
    """Return how many defect masks have no marked pixel left inside the crop, and how many masks there are.

    Args:
        manifest: images, ``mask_path`` empty where there is none.
        crop: ``centre`` keeps the centred square of the shorter side; ``none`` loses nothing.
    """
    masks = [Path(mask) for mask in manifest["mask_path"] if mask]
    if crop == "none":
        return 0, len(masks)
    with ThreadPoolExecutor() as executor:
        return sum(executor.map(_is_lost, masks)), len(masks)


def _read_all(records: Sequence[ImageRecord], *, progress: bool) -> list[Reading]:
    console = Console(stderr=True)
    # Reading and decoding release the interpreter lock: threads are enough.
    with (
        Progress(console=console, transient=True, disable=not (progress and console.is_terminal)) as bar,
        ThreadPoolExecutor() as executor,
    ):
        readings = executor.map(read_image, records)
        return list(bar.track(readings, len(records), description="Validating images"))


def _pairing_faults(records: Sequence[ImageRecord]) -> list[str]:
    """Return a fault for each mask that several images claim, and for each image with several masks."""
    masks = [(record.mask_path, record.path) for record in records if record.mask_path is not None]
    images = [(image, mask) for mask, image in masks]
    return [*_claimed_twice(masks, "one mask for several images"), *_claimed_twice(images, "several masks")]


def _claimed_twice(pairs: Iterable[tuple[Path, Path]], fault: str) -> list[str]:
    claims: dict[Path, list[str]] = {}
    for claimed, claimant in pairs:
        claims.setdefault(claimed, []).append(str(claimant))
    return [f"{claimed}: {fault}: {', '.join(names)}" for claimed, names in claims.items() if len(names) > 1]


def _group_by_digest(readings: Iterable[Reading]) -> list[list[Reading]]:
    """Return the images that share their bytes, group by group."""
    groups: dict[str, list[Reading]] = {}
    for reading in readings:
        groups.setdefault(reading.digest, []).append(reading)
    return [copies for copies in groups.values() if len(copies) > 1]


def _repeat_faults(copies: Sequence[Reading], on_duplicate: OnDuplicate) -> list[str]:
    records = [copy.record for copy in copies]
    first = {split: next((record for record in records if record.split == split), None) for split in SPLITS}
    train, test = first["train"], first["test"]
    faults = []
    if train and test:
        faults.append(f"{train.path}: this training image is also in the test split: {test.path}")
    for split in SPLITS:
        same = [record for record in records if record.split == split]
        by_label = {record.label: record.path for record in reversed(same)}
        if {NORMAL, ANOMALOUS} <= by_label.keys():
            faults.append(f"{by_label[NORMAL]}: normal, but the same image is anomalous: {by_label[ANOMALOUS]}")
        elif on_duplicate == "error":
            faults += [f"{repeat.path}: the same image as {same[0].path}" for repeat in same[1:]]
    return faults


def _without_repeats(readings: Sequence[Reading]) -> list[Reading]:
    """Return the first reading of each content. No content is in both splits here: that is a fault."""
    first = {reading.digest: reading for reading in reversed(readings)}
    kept = [reading for reading in readings if first[reading.digest] is reading]
    dropped = [str(reading.record.path) for reading in readings if first[reading.digest] is not reading]
    if dropped:
        names = ", ".join(dropped[:5]) + (", …" if len(dropped) > 5 else "")
        logger.warning("dropped %d of %d images, copies of another: %s", len(dropped), len(readings), names)
    return kept


def _manifest(readings: Sequence[Reading]) -> pd.DataFrame:
    rows = [
        asdict(reading.record) | {"digest": reading.digest, "width": reading.width, "height": reading.height}
        for reading in readings
    ]
    return as_manifest(pd.DataFrame(rows).assign(image_id=opaque_ids([row["digest"] for row in rows])))


def _is_lost(mask_path: Path) -> bool:
    marked = read_mask(mask_path)
    left, top, right, bottom = centre_square(marked.shape[1], marked.shape[0])
    return not marked[top:bottom, left:right].any()
