"""Nodes of ``features``."""

import logging
from dataclasses import asdict
from typing import Any

from irp_kedro.parameters import FeatureParameters, ViewParameters

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
    from rich.console import Console
    from rich.progress import Progress

    from irp_kedro.features.extraction import ExtractionPlan, extract
    from irp_kedro.strategies import resolve_device

    plan = ExtractionPlan(
        backbone=backbone,
        scales=features.scales,
        n_views=views.bank,
        precision=features.precision,
        batch_views=features.batch_views,
        shard_images=features.shard_images,
    )
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"{backbone}: features", total=len(prepared_images))
        bank, record = extract(
            prepared_images,
            plan,
            feature_store,
            resolve_device(device),
            lambda done, total: bar.update(task, completed=done, total=total),
        )
    rate = record.extracted / record.seconds
    logger.info(
        "features: %d images extracted, %d found in the bank, %.1f s (%.1f images/s)",
        record.extracted,
        record.reused,
        record.seconds,
        rate,
    )
    return bank, asdict(record)
