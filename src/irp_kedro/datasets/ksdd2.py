"""Kolektor SDD2: one surface with 246 defective training images (J. Bozic et al., 2021; CC BY-NC-SA 4.0).

Layout: ``train/`` and ``test/`` hold ``NNNNN.png`` with its mask ``NNNNN_GT.png``, black where all is normal.
"""

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from irp_kedro.core.manifest import ANOMALOUS, NORMAL
from irp_kedro.datasets.image_files import list_folder, list_images, obtain_folder
from irp_kedro.datasets.image_reading import DECODE_ERRORS, read_mask
from irp_kedro.datasets.sources import ImageRecord, SourceRequest
from irp_kedro.errors import SourceError

ARCHIVE_URL = "https://go.vicos.si/kolektorsdd2"
# The authors publish no checksum; at least four projects recorded this one from downloads of their own.
ARCHIVE_CHECKSUM = "sha256:edcdb486809b24f1d17b785e30c52fafc5999554dd5fe18ddf77b61ceb6f36a8"
PRODUCT_CLASS = "ksdd2"
DEFECT_TYPE = "defect"
MASK_ENDING = "_GT"
logger = logging.getLogger(__name__)


def read(request: SourceRequest) -> list[ImageRecord]:
    """Return every image of the set with the label its mask gives, downloading if the request names no path.

    Raises:
        SourceError: the path does not exist, has no train/ and test/, or a class is asked for.
    """
    if request.product_class not in ("", PRODUCT_CLASS):
        raise SourceError(
            f"Kolektor SDD2 has no class '{request.product_class}'; leave dataset.product_class empty."
        )
    root = obtain_folder(request, name="ksdd2", url=ARCHIVE_URL, checksum=ARCHIVE_CHECKSUM)
    home = _find_home(root)
    with ThreadPoolExecutor() as executor:
        return [record for split in ("train", "test") for record in _list_split(home / split, executor)]


def _find_home(root: Path) -> Path:
    """Return the folder of train/ and test/: the root, or one folder in it, as some archives are packed."""
    if _is_home(root):
        return root
    homes = [folder for folder in list_folder(root)[1] if _is_home(folder)]
    if len(homes) != 1:
        raise SourceError(
            f"'{root}' is not Kolektor SDD2: expected train/ and test/ in it, or in one folder below; "
            f"{len(homes)} folders below have them."
        )
    return homes[0]


def _is_home(folder: Path) -> bool:
    return (folder / "train").is_dir() and (folder / "test").is_dir()


def _list_split(folder: Path, executor: ThreadPoolExecutor) -> list[ImageRecord]:
    files = [file for file in list_images(folder) if _is_numbered(file)]
    images = {file.stem: file for file in files if not file.stem.endswith(MASK_ENDING)}
    masks = {file.stem.removesuffix(MASK_ENDING): file for file in files if file.stem.endswith(MASK_ENDING)}
    # The union of both, so that validation meets an image without mask and a mask without image.
    pairs = [
        (images.get(stem, folder / f"{stem}.png"), masks.get(stem, folder / f"{stem}{MASK_ENDING}.png"))
        for stem in sorted(images.keys() | masks.keys())
    ]
    return list(executor.map(_record, pairs))


def _is_numbered(file: Path) -> bool:
    # The published archive holds "10301 (copy).png" and its mask: left-overs that would be duplicates.
    numbered = file.stem.removesuffix(MASK_ENDING).isdigit()
    if not numbered:
        logger.warning("Skipped '%s': Kolektor SDD2 names its images by number.", file)
    return numbered


def _record(pair: tuple[Path, Path]) -> ImageRecord:
    image, mask = pair
    normal = image.exists() and _is_black(mask)
    return ImageRecord(
        path=image,
        split=image.parent.name,
        product_class=PRODUCT_CLASS,
        label=NORMAL if normal else ANOMALOUS,
        defect_type="" if normal else DEFECT_TYPE,
        mask_path=None if normal else mask,
    )


def _is_black(mask: Path) -> bool:
    """Return whether nothing is marked; no for a missing or unreadable mask, which validation reports."""
    try:
        return not read_mask(mask).any()
    except DECODE_ERRORS:
        return False
