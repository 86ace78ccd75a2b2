"""Nodes of ``ingestion``."""

import logging
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd

from irp_kedro.core.manifest import as_manifest
from irp_kedro.errors import ParameterError
from irp_kedro.parameters import DatasetParameters, PreparationParameters, SampleParameters

logger = logging.getLogger(__name__)

LOOKED_AT = 64  # training images, to tell how their parts lie


def read_images(
    raw_folder: Path, dataset: DatasetParameters, sample: SampleParameters, on_duplicate: Any
) -> pd.DataFrame:
    """Obtain the images of a source and return their validated manifest."""
    from irp_kedro.datasets.sources import SourceRequest, find_source
    from irp_kedro.datasets.validation import validate_images

    request = SourceRequest(
        path=Path(dataset.path).expanduser().resolve() if dataset.path else None,
        product_class=dataset.product_class,
        raw=raw_folder,
        sample=sample,
    )
    manifest = validate_images(find_source(dataset.name).read(request), on_duplicate=on_duplicate)
    counts = Counter(zip(manifest["split"], manifest["label"], strict=True))
    listed = ", ".join(f"{split} {label} {count}" for (split, label), count in sorted(counts.items()))
    logger.info("%s: %d images (%s)", dataset.name, len(manifest), listed)
    return manifest


def read_review(manifest: pd.DataFrame, review: str | None) -> pd.DataFrame:
    """Return what a person decided on images of this source; no row without a review."""
    from irp_kedro.datasets import review_file

    decided = review_file.read_review(review or "")
    review_file.refuse_unknown(decided, manifest)
    counts = Counter(decided["decision"])
    if counts:
        told = ", ".join(f"{count} {decision}" for decision, count in sorted(counts.items()))
        logger.info("review: %s", told)
    return decided


def prepare_images(manifest: pd.DataFrame, preparation: PreparationParameters, review: pd.DataFrame) -> Any:
    """State how images are cropped, laid level and resized, what shape they share, and what the crop loses.

    The review is an input so that one that cannot be honoured ends the run here, before features are extracted.
    """
    del review
    from irp_kedro.datasets.validation import count_lost_masks
    from irp_kedro.features.preparation import Preparation, PreparedImages

    checked = as_manifest(manifest)
    lost, total = count_lost_masks(checked, crop=preparation.crop)
    if lost:
        logger.warning("The %s crop loses %d of %d defect masks entirely.", preparation.crop, lost, total)
    else:
        logger.info("The crop (%s) keeps a part of all %d defect masks.", preparation.crop, total)
    paths = {digest: Path(path) for digest, path in zip(checked["digest"], checked["path"], strict=True)}
    aligned = _aligned(checked, preparation)
    prepared = Preparation(crop=preparation.crop, size=preparation.size, aligned=aligned)
    return PreparedImages(paths, prepared, 1.0 if aligned else _aspect(checked, preparation.crop))


def _aspect(manifest: pd.DataFrame, crop: str) -> float:
    """Return width over height that the training images have in common; 1: none, or they come out square."""
    from irp_kedro.features.preparation import common_aspect

    training = manifest[manifest["split"] == "train"]
    aspect = 1.0 if crop == "centre" else common_aspect(training["width"], training["height"])
    if aspect != 1:
        logger.info(
            "Images are %.1f times as %s as they are %s; patches.aspect = keep looks at them unsqueezed.",
            max(aspect, 1 / aspect),
            *(("wide", "high") if aspect > 1 else ("high", "wide")),
        )
    return aspect


def _aligned(manifest: pd.DataFrame, preparation: PreparationParameters) -> Any:
    """Return how parts are laid level; ``None``: images stay as they were taken.

    Training images alone decide, whatever their labels.
    """
    if preparation.align == "never":
        return None
    from irp_kedro.features.alignment import PartsSeen
    from irp_kedro.features.pose import FOUND_ON
    from irp_kedro.features.preparation import decode

    training = manifest[manifest["split"] == "train"].sort_values("digest")
    looked_at = training["path"].iloc[:: math.ceil(len(training) / LOOKED_AT)]
    parts = PartsSeen.among(decode(Path(path), preparation.crop, FOUND_ON) for path in looked_at)
    told = f"{parts.n_clear} of {parts.n_images} training images show one long part before an even background"
    if preparation.align == "always" and not parts.in_every_image:
        raise ParameterError(
            f"preparation.align = always, but only {told}, so there is nothing to lay level in the others; "
            "set preparation.align to auto or never."
        )
    if not parts.in_every_image or not (parts.at_any_angle or preparation.align == "always"):
        logger.info("align: images stay as they were taken; %s (parallel: %.2f of 1).", told, parts.alike)
        return None
    logger.info("align: %s (parallel: %.2f of 1); every part is laid level.", told, parts.alike)
    return parts.alignment
