"""Folders of images and masks: the listing that every source on disk shares.

Listing opens no image. A record states what the layout promises; what is then not on disk (an image's mask, a
mask's image) is for :mod:`irp_kedro.datasets.validation` to report, in one message with all other faults.
"""

import hashlib
import logging
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from irp_kedro.core.manifest import ANOMALOUS
from irp_kedro.datasets.archive import is_extracted
from irp_kedro.datasets.download import extract_archive, fetch
from irp_kedro.datasets.sources import ImageRecord, SourceRequest
from irp_kedro.errors import SourceError, nearest

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
logger = logging.getLogger(__name__)


def obtain_folder(request: SourceRequest, *, name: str, url: str = "", checksum: str | None = None) -> Path:
    """Return the folder the user asked for: their own, or one extracted from their archive or the download.

    Args:
        request: its ``path`` names a folder or an archive; ``None`` downloads.
        name: folder under ``request.raw`` for the archive and what comes out of it.
        url: address of the published archive.
        checksum: ``algorithm:hexdigest`` of that archive, where one is known.

    Raises:
        SourceError: the path does not exist, or the archive cannot be fetched or read.
    """
    home = request.raw.absolute() / name
    if request.path is None:
        extracted = home / "extracted"
        if is_extracted(extracted):
            return extracted  # the archive itself may have been deleted to save its space
        return extract_archive(fetch(url, folder=home, checksum=checksum), extracted)
    archive = request.path.expanduser()
    if not archive.is_file():
        return require_folder(request.path)
    # Archives of one name in two places must not replace each other; and one that holds bare train/ and test/
    # is named by its file alone, so the innermost folder keeps that name.
    place = hashlib.sha256(str(archive.resolve()).encode()).hexdigest()[:8]
    return extract_archive(archive, home / place / archive.name.split(".")[0])


def require_folder(path: Path) -> Path:
    """Return the folder at ``path``, absolute.

    Raises:
        SourceError: it does not exist (with the nearest name that does), or is a file.
    """
    folder = path.expanduser().absolute()
    if folder.is_dir():
        return folder.resolve()
    if folder.exists():
        raise SourceError(f"dataset.path must be a folder; '{path}' is a file. Unpack it, and name the folder.")
    while not folder.parent.exists():
        folder = folder.parent
    siblings = [entry.name for entry in _entries(folder.parent) if entry.is_dir()]
    hint = nearest(folder.name, siblings) if siblings else "it holds no folder at all"
    raise SourceError(
        f"dataset.path '{path}' does not exist: '{folder.parent}' has no '{folder.name}'; "
        + textwrap.shorten(hint, 300, placeholder=" …")
    )


def list_folder(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the images and the folders that lie directly in ``folder``, each sorted by name.

    Hidden entries are skipped, and so are files of other kinds; where those lie among images, with a warning,
    so that no image in an unknown format is lost unnoticed.

    Raises:
        SourceError: the folder cannot be listed.
    """
    folders, images, others = [], [], []
    for entry in _entries(folder):
        if entry.is_dir():
            folders.append(entry)
        elif entry.suffix.lower() in SUFFIXES:
            images.append(entry)
        else:
            others.append(entry.name)
    if others and not folders:
        logger.warning(
            "%s: skipped %d files that are no images: %s", folder, len(others), ", ".join(others[:5])
        )
    return images, folders


def list_images(folder: Path) -> list[Path]:
    """Return the images in ``folder``, sorted by name.

    Raises:
        SourceError: it holds a folder, whose images would be lost.
    """
    images, folders = list_folder(folder)
    if folders:
        raise SourceError(
            f"'{folder}' holds the folder '{folders[0].name}', but images are read one level deep only. "
            "Move its images up, or it out of the way."
        )
    return images


def list_type_folders(folder: Path) -> list[Path]:
    """Return the folders in ``folder``, sorted by name.

    Raises:
        SourceError: it holds images directly, whose type nothing tells.
    """
    images, folders = list_folder(folder)
    if images:
        raise SourceError(
            f"'{folder}' holds images, like '{images[0].name}', directly; each belongs in a folder of its type."
        )
    return folders


def pair_masks(records: Sequence[ImageRecord], masks: Path, *, home: Path) -> list[ImageRecord]:
    """Return the records with their masks, then one record for each mask whose image is not listed.

    The mask of an anomalous image is ``<defect_type>/<stem>_mask.png`` in ``masks``, or else ``<stem>.png``.
    Where the folder of a type exists, every image of that type is expected to have one.

    Args:
        records: the images, without masks.
        masks: folder of masks by defect type; it need not exist.
        home: folder of images by type, where the image of a stray mask is expected.

    Raises:
        SourceError: ``masks`` holds masks directly, or a folder of a type holds a folder.
    """
    folders = list_type_folders(masks) if masks.is_dir() else []
    # Masks of normal or unlabelled images, if someone keeps any, say nothing about defects.
    unmarked = {record.path.parent.name for record in records if record.label != ANOMALOUS}
    by_type = {folder.name: list_images(folder) for folder in folders if folder.name not in unmarked}
    paired = [
        replace(record, mask_path=_expected_mask(record.path.stem, masks / record.defect_type))
        if record.label == ANOMALOUS and record.defect_type in by_type
        else record
        for record in records
    ]
    used = {record.mask_path for record in paired}
    strays = [mask for files in by_type.values() for mask in files if mask not in used]
    return paired + [_record_of_stray(mask, home, records) for mask in strays]


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise SourceError(f"'{folder}' cannot be listed: {error.strerror}.") from error


def _expected_mask(stem: str, folder: Path) -> Path:
    usual, bare = folder / f"{stem}_mask.png", folder / f"{stem}.png"
    return bare if bare.is_file() and not usual.is_file() else usual


def _record_of_stray(mask: Path, home: Path, records: Sequence[ImageRecord]) -> ImageRecord:
    defect_type = mask.parent.name
    image = home / defect_type / f"{mask.stem.removesuffix('_mask')}.png"
    return ImageRecord(
        path=image,
        split="test",
        product_class=records[0].product_class if records else "",
        label=ANOMALOUS,
        defect_type=defect_type,
        mask_path=mask,
    )
