"""Where images come from. A new source is a file with a ``read`` function and a line in :data:`SOURCES`."""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from irp_kedro.errors import ParameterError, nearest
from irp_kedro.parameters import SampleParameters

SOURCES = {
    "sample": "irp_kedro.datasets.sample",
    "ksdd2": "irp_kedro.datasets.ksdd2",
    "mvtec_ad": "irp_kedro.datasets.mvtec_ad",
    "image_folder": "irp_kedro.datasets.image_folder",
}


@dataclass(frozen=True, kw_only=True)
class SourceRequest:
    """What the user asked for.

    Attributes:
        path: folder or archive already on disk; ``None`` asks the source to download.
        product_class: the class of a set that has several; empty otherwise.
        raw: folder that the source may download and extract to; it need not exist yet.
        sample: parameters of the generated sample; the other sources ignore them.
    """

    path: Path | None
    product_class: str
    raw: Path
    sample: SampleParameters


@dataclass(frozen=True, kw_only=True)
class ImageRecord:
    """One image as its source lists it, before any pixel is read.

    A record states what the source promises. A mask without its image is listed too, as a record of the image
    that ought to be there: validation reports what is missing, together with all other faults.

    Attributes:
        path: absolute path of the image.
        split: ``train`` or ``test``. Anomalous images of ``train`` are an injection pool, never trained on as
            they are.
        label: ``normal``, ``anomalous`` or ``unknown``.
        defect_type: empty unless anomalous.
        mask_path: absolute path of the defect mask, where the source has one or ought to.
    """

    path: Path
    split: str
    product_class: str
    label: str
    defect_type: str = ""
    mask_path: Path | None = None


class Source(Protocol):
    """Lists a set's images, after downloading or generating them if need be.

    Raises:
        SourceError: a path does not exist, a class is unknown (with the nearest name), a class is empty.
    """

    def read(self, request: SourceRequest) -> list[ImageRecord]:
        """Return every image of the set, in a stable order."""
        ...


def find_source(name: str) -> Source:
    """Return the source called ``name``.

    Raises:
        ParameterError: no source has that name.
    """
    check_source_name(name)
    return cast("Source", import_module(SOURCES[name]))


def check_source_name(name: str) -> None:
    """Refuse an unknown source without importing any.

    Raises:
        ParameterError: no source has that name.
    """
    if name not in SOURCES:
        raise ParameterError(f"dataset.name = '{name}' is no source; {nearest(name, SOURCES)}")
