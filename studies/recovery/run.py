"""Run the recovery study: each method of study.yml on each set, contamination and seed; keep what is done."""

import argparse
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from omegaconf import OmegaConf
from rich.progress import Progress

from irp_kedro.core.contamination import contaminate
from irp_kedro.core.detection_metrics import image_metrics
from irp_kedro.core.evaluation import rank_by_suspicion, removal_metrics
from irp_kedro.core.manifest import ANOMALOUS, NORMAL, as_manifest
from irp_kedro.core.records import last_scores, removal_log
from irp_kedro.datasets.sources import SourceRequest, find_source
from irp_kedro.datasets.validation import validate_images
from irp_kedro.features.bank import FeatureBank, FeatureStore
from irp_kedro.features.extraction import ExtractionPlan, extract
from irp_kedro.features.preparation import Preparation, PreparedImages
from irp_kedro.judges import LoopSettings, resolve_device
from irp_kedro.lineage.code_state import source_digest
from irp_kedro.parameters import Parameters, Strategy, check_parameters, result_digest
from irp_kedro.strategies import run_strategy, score_images
from irp_kedro.writing import write_json

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
KEPT = ROOT / "data" / "studies" / "recovery"
logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Images:
    """One set: its manifest and the features of all its images."""

    manifest: pd.DataFrame
    bank: FeatureBank
    patches: FeatureBank


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One method on one set at one contamination with one seed."""

    dataset: str
    contamination: str
    seed: int
    method: str
    strategy: Strategy
    parameters: Parameters

    def file(self, kept: Path) -> Path:
        """Return where the result goes; its name changes with every parameter that can change it."""
        name = f"{self.dataset}-{self.contamination}-seed{self.seed}-{self.method}"
        return kept / f"{name}-{result_digest(self.parameters)}.json"


def base_parameters() -> dict[str, Any]:
    """Return conf/base as one tree."""
    files = sorted((ROOT / "conf" / "base").glob("parameters*.yml"))
    merged = OmegaConf.merge(*[OmegaConf.load(file) for file in files])
    tree: dict[str, Any] = OmegaConf.to_container(merged)  # type: ignore[assignment]
    return tree


def plan(study: Mapping[str, Any], images: Path, sets: list[str]) -> Iterator[Cell]:
    """Yield every cell of the study; the oracle is a method too: the clean set is that of contamination 0."""
    methods = {"oracle": {"strategy": "vanilla", "contaminations": ["0"]}, **study["methods"]}
    for dataset in sets:
        source = dict(study["sets"][dataset])
        if "path" in source:
            source["path"] = str(images / source["path"])
        for seed in study["seeds"]:
            for contamination, asked in study["contaminations"].items():
                for method, told in methods.items():
                    if seed not in told.get("seeds", study["seeds"]):
                        continue
                    if contamination not in told.get("contaminations", study["contaminations"]):
                        continue
                    tree = OmegaConf.merge(
                        base_parameters(),
                        {
                            "dataset": source,
                            "contamination": asked,
                            "refinement": told.get("refinement", {}),
                            "training": told.get("training", {}),
                            "seed": seed,
                        },
                    )
                    yield Cell(
                        dataset=dataset,
                        contamination=contamination,
                        seed=seed,
                        method=method,
                        strategy=told["strategy"],
                        parameters=check_parameters(OmegaConf.to_container(tree)),  # type: ignore[arg-type]
                    )


def read_set(parameters: Parameters, device: torch.device) -> Images:
    """Return manifest and features of a set; features are kept with those of ordinary runs."""
    raw = ROOT / "data" / "01_raw"
    request = SourceRequest(
        path=Path(parameters.dataset.path) if parameters.dataset.path else None,
        product_class=parameters.dataset.product_class,
        raw=raw,
        sample=parameters.sample,
    )
    records = find_source(parameters.dataset.name).read(request)
    manifest = as_manifest(validate_images(records, on_duplicate=parameters.on_duplicate))
    paths = {digest: Path(path) for digest, path in zip(manifest["digest"], manifest["path"], strict=True)}
    preparation = Preparation(crop=parameters.preparation.crop, size=parameters.preparation.size)
    pooled = ExtractionPlan(
        backbone=parameters.backbone,
        scales=parameters.features.scales,
        n_views=parameters.views.bank,
        precision=parameters.features.precision,
        batch_views=parameters.features.batch_views,
        shard_images=parameters.features.shard_images,
    )
    by_patch = replace(
        pooled,
        scales=(1.0,),
        n_views=parameters.patches.turns,
        patch_levels=parameters.patches.levels,
        finer=True,
    )
    store = FeatureStore(ROOT / "data" / "04_feature" / "store")
    bank, _ = extract(PreparedImages(paths, preparation), pooled, store, device)
    larger = replace(preparation, size=parameters.patches.size)
    patches, _ = extract(PreparedImages(paths, larger), by_patch, store, device)
    return Images(manifest=manifest, bank=bank, patches=patches)


def run_cell(cell: Cell, images: Images, device: torch.device) -> dict[str, Any]:
    """Return what a method did: test metrics, removals, removals by defect type, seconds."""
    told = cell.parameters
    split = contaminate(images.manifest, told.contamination, seed=cell.seed)
    training = split.training
    if cell.method == "oracle":
        training = training[training["label"] == NORMAL]
    settings = LoopSettings(
        detector=told.detector,
        refinement=told.refinement,
        training=told.training,
        flow=told.flow,
        views=told.views,
        patches=told.patches,
        seed=cell.seed,
        device=str(device),
    )
    cycles = list(run_strategy(cell.strategy, training, images.bank, settings, patches=images.patches))
    records = [cycle.record for cycle in cycles]
    rule = told.refinement
    log = removal_log(
        records,
        training,
        policy=rule.policy,
        scoring=rule.scoring,
        detector=told.detector,
        judge=settings.judge,
    )
    ranked = rank_by_suspicion(log, training, last_scores(records), records[-1].judged)
    digests = list(split.test["digest"])
    scores = score_images(cycles[-1].trained, images.bank, digests, str(device), patches=images.patches)
    bad = ranked[ranked["label"] == ANOMALOUS]
    return {
        "set": cell.dataset,
        "contamination": cell.contamination,
        "seed": cell.seed,
        "method": cell.method,
        "achieved_contamination": split.record["achieved_contamination"],
        "test": image_metrics(
            scores,
            (split.test["label"] == ANOMALOUS).to_numpy(),
            threshold=float("inf"),
            bootstrap_samples=0,
            seed=cell.seed,
        ),
        "removals": removal_metrics(ranked),
        "by_defect_type": {
            str(defect): {"bad": len(group), "removed": int(group["removed"].sum())}
            for defect, group in bad.groupby("defect_type")
        },
        "missed": [
            {"path": Path(path).as_posix(), "rank": int(rank)}
            for path, rank, removed in zip(bad["path"], bad["rank"], bad["removed"], strict=True)
            if not removed
        ],
        "cycles": records[-1].cycle,
        "stop": records[-1].stop,
        "seconds": sum(cycle.seconds for cycle in cycles),
        "code": source_digest(),
    }


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, required=True, help="folder with the real sets")
    parser.add_argument("--sets", nargs="+", help="only these")
    parser.add_argument("--seeds", nargs="+", type=int, help="only these")
    parser.add_argument("--methods", nargs="+", help="only these")
    parser.add_argument("--kept", type=Path, default=KEPT, help="where results are kept")
    parser.add_argument("--threads", type=int, default=0, help="of torch; 0: as torch decides")
    asked = parser.parse_args()
    logging.disable(logging.INFO)
    if asked.threads:
        torch.set_num_threads(asked.threads)
    study: dict[str, Any] = OmegaConf.to_container(OmegaConf.load(HERE / "study.yml"))  # type: ignore[assignment]
    device = resolve_device("auto")
    cells = [
        cell
        for cell in plan(study, asked.images.resolve(), asked.sets or list(study["sets"]))
        if cell.method in (asked.methods or [cell.method]) and cell.seed in (asked.seeds or [cell.seed])
    ]
    read: dict[str, Images] = {}
    asked.kept.mkdir(parents=True, exist_ok=True)
    with Progress() as bar:
        task = bar.add_task("cells", total=len(cells))
        for cell in cells:
            file = cell.file(asked.kept)
            if not file.is_file():
                bar.update(task, description=f"{cell.dataset} {cell.contamination} {cell.seed} {cell.method}")
                if cell.dataset not in read:
                    read = {cell.dataset: read_set(cell.parameters, device)}
                write_json(file, run_cell(cell, read[cell.dataset], device))
            bar.advance(task)


if __name__ == "__main__":
    main()
