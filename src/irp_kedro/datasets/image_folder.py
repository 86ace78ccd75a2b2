"""A folder of the user's own images, in one of three layouts.

Flat
    ``<image>``: all of them train, none has a label.
Splits
    ``train/`` and, if there is one, ``test/``: each holds images directly (no label) or folders by label.
Labels
    ``<name>/<image>``: folders by label, all of them train.

A folder by label called ``good``, ``normal`` or ``ok`` holds normal images, one called ``unlabelled`` images
without label (upper or lower case alike); any other name is a defect type. Masks may lie in the root as
``ground_truth/<defect type>/<stem>_mask.png`` or ``<stem>.png``, not black where the defect is.
"""

from pathlib import Path

from irp_kedro.core.manifest import ANOMALOUS, NORMAL, UNKNOWN
from irp_kedro.datasets.image_files import SUFFIXES, list_folder, list_images, pair_masks, require_folder
from irp_kedro.datasets.sources import ImageRecord, SourceRequest
from irp_kedro.errors import SourceError

NORMAL_NAMES = ("good", "normal", "ok")
UNKNOWN_NAMES = ("unlabelled", "unlabeled")
SPLIT_NAMES = ("train", "test")
MASK_FOLDER = "ground_truth"


def read(request: SourceRequest) -> list[ImageRecord]:
    """Return every image of the folder.

    Raises:
        SourceError: no path is given, it does not exist, holds no image, or mixes layouts.
    """
    if request.path is None:
        raise SourceError("image_folder reads a folder of yours; name it: --params dataset.path=FOLDER")
    folder = require_folder(request.path)
    product_class = request.product_class or folder.name
    images, folders = list_folder(folder)
    masks = [entry for entry in folders if entry.name.casefold() == MASK_FOLDER]
    folders = [entry for entry in folders if entry not in masks]
    splits = [entry for entry in folders if entry.name.casefold() in SPLIT_NAMES]
    if splits:
        _check_splits(folder, images, folders)
        records = [record for entry in splits for record in _list_split(entry, product_class)]
    else:
        records = _list_labels(folder, images, folders, split="train", product_class=product_class)
    if not records:
        raise SourceError(f"'{folder}' holds no image; images end in {', '.join(SUFFIXES)}.")
    if masks and images:
        raise SourceError(
            f"'{folder}' holds '{masks[0].name}' beside images without label. Masks belong to defect types: "
            f"put the images in folders by label, or '{masks[0].name}' out of the way."
        )
    home = splits[0] if splits else folder
    return pair_masks(records, masks[0], home=home) if masks else records


def _check_splits(folder: Path, images: list[Path], folders: list[Path]) -> None:
    names = [entry.name.casefold() for entry in folders]
    strange = [entry.name for entry in [*folders, *images] if entry.name.casefold() not in SPLIT_NAMES]
    if strange:
        raise SourceError(
            f"'{folder}' holds '{strange[0]}'. Beside train/ and test/ only {MASK_FOLDER}/ may lie there: "
            "move it into one of them, or out of the way."
        )
    if "train" not in names:
        raise SourceError(f"'{folder}' has test/ but no train/: there is nothing to train on.")
    if len(set(names)) < len(names):
        raise SourceError(f"'{folder}' holds a split twice, in upper and lower case: {sorted(names)}.")


def _list_split(folder: Path, product_class: str) -> list[ImageRecord]:
    images, folders = list_folder(folder)
    return _list_labels(folder, images, folders, split=folder.name.casefold(), product_class=product_class)


def _list_labels(
    folder: Path, images: list[Path], folders: list[Path], *, split: str, product_class: str
) -> list[ImageRecord]:
    if images and folders:
        raise SourceError(
            f"'{folder}' holds images directly, like '{images[0].name}', and the folder '{folders[0].name}'. "
            "Either all images lie directly in it, without label, or all in folders named after their label "
            f"({', '.join(NORMAL_NAMES)}, {UNKNOWN_NAMES[0]} or a defect type)."
        )
    labelled = [(path, *_label(entry.name)) for entry in folders for path in list_images(entry)]
    return [
        ImageRecord(path=path, split=split, product_class=product_class, label=label, defect_type=defect_type)
        for path, label, defect_type in [*((path, UNKNOWN, "") for path in images), *labelled]
    ]


def _label(name: str) -> tuple[str, str]:
    """Return the label and the defect type that a folder of that name stands for."""
    if name.casefold() in NORMAL_NAMES:
        return NORMAL, ""
    if name.casefold() in UNKNOWN_NAMES:
        return UNKNOWN, ""
    return ANOMALOUS, name
