"""The same images, views, epochs and cycles through irp-kedro; write what it took.

    python ours.py SPEC.json RESULT.json          (started by run.py)

A first run extracts the bank of training and test images into an empty store; a second one finds it there.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import roc_auc_score

from irp_kedro.features.bank import FeatureStore
from irp_kedro.features.extraction import ExtractionPlan, extract
from irp_kedro.features.preparation import Preparation, PreparedImages
from irp_kedro.judges import LoopSettings, resolve_device
from irp_kedro.parameters import (
    FlowParameters,
    RefinementParameters,
    TrainingParameters,
    ViewParameters,
)
from irp_kedro.strategies import run_strategy, score_images

Seconds = tuple[float, float]


def now() -> Seconds:
    return time.perf_counter(), time.process_time()


def since(began: Seconds) -> dict[str, float]:
    return {"wall": time.perf_counter() - began[0], "cpu": time.process_time() - began[1]}


def settings(spec: dict[str, Any]) -> LoopSettings:
    rule = RefinementParameters(**spec["rule"])
    epochs = rule.pretrain_epochs + rule.max_cycles * rule.epochs_per_cycle
    return LoopSettings(
        detector="differnet",
        refinement=rule,
        training=TrainingParameters(
            batch_views=spec["batch_views"], epochs=epochs, precision=spec["training_precision"]
        ),
        flow=FlowParameters(**spec["flow"]),
        views=ViewParameters(bank=spec["bank_views"], train=spec["train_views"], score=spec["score_views"]),
        seed=spec["seed"],
        device=spec["device"],
    )


def run(spec: dict[str, Any], store: FeatureStore) -> dict[str, Any]:
    everything = {**spec["train"], **spec["test_normal"], **spec["test_anomalous"]}
    digest_of = {name: Path(name).stem for name in everything}  # run.py names the links by their MD5
    paths = {digest_of[name]: Path(path) for name, path in everything.items()}
    plan = ExtractionPlan(
        backbone=spec["backbone"],
        scales=tuple(spec["scales"]),
        n_views=spec["bank_views"],
        precision=spec["extraction_precision"],
        batch_views=spec["batch_views_extraction"],
        shard_images=64,
    )
    whole = began = now()
    images = PreparedImages(paths, Preparation(crop="none", size=spec["size"]))
    bank, record = extract(images, plan, store, resolve_device(spec["device"]))
    extraction, began = since(began), now()
    digests = [digest_of[name] for name in spec["train"]]
    manifest = pd.DataFrame({"image_id": digests, "digest": digests})
    cycles = list(run_strategy("iterative_refinement", manifest, bank, settings(spec)))
    loop, began = since(began), now()
    tested = [digest_of[name] for name in [*spec["test_normal"], *spec["test_anomalous"]]]
    scores = score_images(cycles[-1].trained, bank, tested, spec["device"])
    test = since(began)
    labels = np.repeat([0, 1], [len(spec["test_normal"]), len(spec["test_anomalous"])])
    records = [cycle.record for cycle in cycles]
    return {
        "total": since(whole),
        "extraction": {**extraction, "views": record.extracted * spec["bank_views"]},
        "loop": loop,
        "test": test,
        "auroc": float(roc_auc_score(labels, scores)),
        "removed": sum(len(one.decisions) for one in records),
        "cycles": records[-1].cycle,
        "epochs": records[-1].epochs,
        "trained_views": sum(len(one.losses) * len(one.kept) for one in records) * spec["train_views"],
    }


def main() -> None:
    spec = json.loads(Path(sys.argv[1]).read_text())
    torch.set_num_threads(spec["threads"])
    store = FeatureStore(Path(spec["home"]) / "store")
    runs = [run(spec, store) for _ in range(2)]
    Path(sys.argv[2]).write_text(json.dumps({"first": runs[0], "second": runs[1]}))


if __name__ == "__main__":
    main()
