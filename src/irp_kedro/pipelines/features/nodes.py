"""Nodes of ``features``."""

import logging
from dataclasses import asdict, replace
from typing import Any

from irp_kedro.parameters import FeatureParameters, PatchParameters, RefinementParameters, ViewParameters

logger = logging.getLogger(__name__)


def extract_features(
    prepared_images: Any,
    feature_store: Any,
    backbone: str,
    views: ViewParameters,
    features: FeatureParameters,
    device: str,
) -> Any:
    """Extract what the store lacks and return the bank of these images with a record of the work."""
    from irp_kedro.features.extraction import ExtractionPlan

    plan = ExtractionPlan(
        backbone=backbone,
        scales=features.scales,
        n_views=views.bank,
        precision=features.precision,
        batch_views=features.batch_views,
        shard_images=features.shard_images,
    )
    return _extract(prepared_images, plan, feature_store, device, "features")


def extract_patches(
    prepared_images: Any,
    feature_store: Any,
    backbone: str,
    features: FeatureParameters,
    patches: PatchParameters,
    detector: str,
    refinement: RefinementParameters,
    device: str,
) -> Any:
    """Extract patch features where a detector or judge asks for them, and fine ones and colours likewise."""
    from irp_kedro.detectors.registry import needs_colours, needs_fine_patches, needs_patches
    from irp_kedro.features.bank import FeatureBank
    from irp_kedro.features.extraction import ExtractionPlan, ExtractionRecord
    from irp_kedro.features.preparation import PreparedImages

    asking = [detector, *refinement.judge]
    if not needs_patches(asking):
        nothing = ExtractionRecord(extracted=0, reused=0, seconds=0.0)
        return FeatureBank.empty(feature_store.root), asdict(nothing)
    plan = ExtractionPlan(
        backbone=backbone,
        scales=(1.0,),
        n_views=patches.turns,
        precision=features.precision,
        batch_views=features.batch_views,
        shard_images=features.shard_images,
        patch_levels=patches.levels,
        finer=needs_fine_patches(asking),
        coloured=needs_colours(asking),
    )
    shown = prepared_images.in_their_shape() if patches.aspect == "keep" else prepared_images
    images = PreparedImages(shown.paths, replace(shown.preparation, size=patches.size))
    return _extract(images, plan, feature_store, device, "patches")


def _extract(images: Any, plan: Any, feature_store: Any, device: str, what: str) -> Any:
    from rich.console import Console
    from rich.progress import Progress

    from irp_kedro.features.extraction import extract
    from irp_kedro.judges import resolve_device

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"{plan.backbone}: {what}", total=len(images))
        bank, record = extract(
            images,
            plan,
            feature_store,
            resolve_device(device),
            lambda done, total: bar.update(task, completed=done, total=total),
        )
    rate = record.extracted / record.seconds
    logger.info(
        "%s: %d images extracted, %d found in the bank, %.1f s (%.1f images/s)",
        what,
        record.extracted,
        record.reused,
        record.seconds,
        rate,
    )
    return bank, asdict(record)
