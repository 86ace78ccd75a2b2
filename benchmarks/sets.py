"""What the benchmarks share: parameters as conf/base has them, a contaminated set, its extraction and loop."""

from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import OmegaConf

from irp_kedro.core.contamination import contaminate
from irp_kedro.core.manifest import ANOMALOUS, as_manifest
from irp_kedro.datasets.sources import SourceRequest, find_source
from irp_kedro.datasets.validation import validate_images
from irp_kedro.features.extraction import ExtractionPlan
from irp_kedro.features.preparation import Preparation, PreparedImages
from irp_kedro.judges import LoopSettings
from irp_kedro.parameters import Parameters, check_parameters

ROOT = Path(__file__).parents[1]


def read_parameters(*changes: dict[str, Any]) -> Parameters:
    """Return conf/base with ``changes`` on top, the later over the earlier."""
    files = sorted((ROOT / "conf" / "base").glob("parameters*.yml"))
    merged = OmegaConf.merge(*[OmegaConf.load(file) for file in files], *changes)
    return check_parameters(OmegaConf.to_container(merged))  # type: ignore[arg-type]


def named_set(name: str, images: Path | None) -> dict[str, Any]:
    """Return the parameters of a set by its short name.

    Args:
        name: ``sample``, ``kolektor``, or a class of MVTec AD.
        images: folder with ``mvtec_ad`` and ``kolektorsdd_in_ksdd2_layout``; the sample needs none.
    """
    if name == "sample":
        return {"dataset": {"name": "sample"}}
    if images is None:
        raise SystemExit(f"'{name}' needs --images, the folder that holds the real sets.")
    if name == "kolektor":
        return {"dataset": {"name": "ksdd2", "path": str(images / "kolektorsdd_in_ksdd2_layout")}}
    return {"dataset": {"name": "mvtec_ad", "path": str(images / "mvtec_ad"), "product_class": name}}


def read_manifest(parameters: Parameters) -> pd.DataFrame:
    """Return the manifest of the set that ``parameters`` name; a generated one goes where runs put it."""
    request = SourceRequest(
        path=Path(parameters.dataset.path) if parameters.dataset.path else None,
        product_class=parameters.dataset.product_class,
        raw=ROOT / "data" / "01_raw",
        sample=parameters.sample,
    )
    records = find_source(parameters.dataset.name).read(request)
    return as_manifest(validate_images(records, on_duplicate=parameters.on_duplicate))


def split(parameters: Parameters) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the contaminated training manifest and the test manifest."""
    both = contaminate(read_manifest(parameters), parameters.contamination, seed=parameters.seed)
    return both.training, both.test


def is_anomalous(manifest: pd.DataFrame) -> Any:
    """Return which rows are anomalous, (n,) of bool."""
    return (manifest["label"] == ANOMALOUS).to_numpy()


def prepared(manifest: pd.DataFrame, parameters: Parameters) -> PreparedImages:
    """Return the images of a manifest as the backbone sees them, parts not laid level."""
    paths = {digest: Path(path) for digest, path in zip(manifest["digest"], manifest["path"], strict=True)}
    return PreparedImages(
        paths, Preparation(crop=parameters.preparation.crop, size=parameters.preparation.size)
    )


def extraction_plan(parameters: Parameters) -> ExtractionPlan:
    """Return how pooled features are extracted."""
    return ExtractionPlan(
        backbone=parameters.backbone,
        scales=parameters.features.scales,
        n_views=parameters.views.bank,
        precision=parameters.features.precision,
        batch_views=parameters.features.batch_views,
        shard_images=parameters.features.shard_images,
    )


def loop_settings(parameters: Parameters) -> LoopSettings:
    """Return what a strategy needs besides its images."""
    return LoopSettings(
        detector=parameters.detector,
        refinement=parameters.refinement,
        training=parameters.training,
        flow=parameters.flow,
        views=parameters.views,
        patches=parameters.patches,
        seed=parameters.seed,
        device=parameters.device,
    )
