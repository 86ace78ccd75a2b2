"""MVTec AD: fifteen product classes of objects and textures (P. Bergmann et al., CVPR 2019; CC BY-NC-SA 4.0).

Layout: ``<class>/train/good``, ``<class>/test/<type>``, ``<class>/ground_truth/<type>/<stem>_mask.png``. Any
set in this layout can be read, whatever its classes are called.
"""

from pathlib import Path

from irp_kedro.core.manifest import ANOMALOUS, NORMAL
from irp_kedro.datasets.image_files import (
    list_folder,
    list_images,
    list_type_folders,
    obtain_folder,
    pair_masks,
)
from irp_kedro.datasets.mvtec_addresses import ADDRESSES, archive_checksum, archive_url
from irp_kedro.datasets.sources import ImageRecord, SourceRequest
from irp_kedro.errors import SourceError, nearest

CLASSES = tuple(ADDRESSES)
GOOD = "good"


def read(request: SourceRequest) -> list[ImageRecord]:
    """Return every image of one class, downloading the set if the request names no path.

    Raises:
        SourceError: the path does not exist, the class is unknown or has to be chosen, or its folders are not
            those of this layout.
    """
    if request.path is None and request.product_class not in CLASSES:
        # Refused before anything is fetched, not after.
        raise SourceError(f"MVTec AD {_wrong_class(request.product_class, CLASSES)}")
    if request.path is None:
        root = obtain_folder(
            request,
            name=f"mvtec_ad/{request.product_class}",
            url=archive_url(request.product_class),
            checksum=archive_checksum(request.product_class),
        )
    else:
        root = obtain_folder(request, name="mvtec_ad")
    folder = _find_class(root, request.product_class)
    return _list_class(folder, request.product_class or folder.name)


def _find_class(root: Path, product_class: str) -> Path:
    found = {folder.name: folder for folder in _class_folders(root)}
    if root in found.values() and root.name not in CLASSES:
        # The user may call a folder of train/ and test/ what they like, and name its class beside it.
        return root
    if not found:
        raise SourceError(
            f"'{root}' holds no MVTec AD class, which is a folder with train/{GOOD} and test/. "
            "For your own layout set dataset.name to image_folder."
        )
    if not product_class and len(found) == 1:
        return next(iter(found.values()))
    if product_class not in found:
        raise SourceError(f"'{root}' {_wrong_class(product_class, tuple(found))}")
    return found[product_class]


def _class_folders(root: Path) -> list[Path]:
    """Return the root itself, or the classes in it, or those one level below, as some archives are packed."""
    if _is_class(root):
        return [root]
    folders = list_folder(root)[1]
    below = [inner for folder in folders if not _is_class(folder) for inner in list_folder(folder)[1]]
    return [folder for folder in folders if _is_class(folder)] or [inner for inner in below if _is_class(inner)]


def _is_class(folder: Path) -> bool:
    return (folder / "train").is_dir() and (folder / "test").is_dir()


def _wrong_class(product_class: str, found: tuple[str, ...]) -> str:
    known = ", ".join(f"'{name}'" for name in sorted(found))
    if not product_class:
        return f"holds {len(found)} classes: {known}. Choose one: --params dataset.product_class=NAME"
    if product_class in CLASSES:
        return f"holds no folder of '{product_class}', though that is an MVTec AD class; it holds: {known}"
    return f"has no class '{product_class}'; {nearest(product_class, found)}"


def _list_class(folder: Path, product_class: str) -> list[ImageRecord]:
    in_train = [entry.name for entry in list_type_folders(folder / "train")]
    if in_train != [GOOD]:
        raise SourceError(
            f"'{folder / 'train'}' must hold the folder '{GOOD}' and no other; it holds {in_train}. "
            "To train on other folders as well set dataset.name to image_folder."
        )
    records = [
        ImageRecord(
            path=path,
            split=split,
            product_class=product_class,
            label=NORMAL if type_folder.name == GOOD else ANOMALOUS,
            defect_type="" if type_folder.name == GOOD else type_folder.name,
        )
        for split in ("train", "test")
        for type_folder in list_type_folders(folder / split)
        for path in list_images(type_folder)
    ]
    return pair_masks(records, folder / "ground_truth", home=folder / "test")
