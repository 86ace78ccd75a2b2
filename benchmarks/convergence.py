"""AUROC against epochs and wall time, for the paper's schedule and for candidates that want fewer epochs.

    python benchmarks/convergence.py --sets sample --seeds 0 1 2
    python benchmarks/convergence.py --images FOLDER --sets pill screw kolektor --seeds 0 1 2

The flow is trained on a contaminated set, as the strategy ``vanilla`` does, and scored on the test split after
the epochs asked for. Test labels only measure: no candidate sees them. Candidates:

- paper: a constant learning rate of 2e-4 on features as the backbone gives them
- standardised: the same on features standardised by the training set (what irp-kedro does)
- cosine: standardised, the learning rate starts at 1e-3 and falls to nothing by the last epoch asked for
- warm: standardised, trained for half of the epochs on the contaminated set, then on the refined one (the most
  suspect tenth by a Gaussian left out), against ``refined``, all epochs on the refined set from new weights
- plateau: cosine, and training ends once the median score of held-out images (a tenth of the set) has not
  fallen for three epochs: early stopping that sees no label
- float32: standardised with matrix products in float32, whatever the hardware multiplies
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from sklearn.metrics import roc_auc_score

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.sets import (
    ROOT,
    extraction_plan,
    is_anomalous,
    loop_settings,
    named_set,
    prepared,
    read_parameters,
)
from benchmarks.sets import split as split_set

from irp_kedro.core import seeding
from irp_kedro.core.detector import BlindSet, Rows
from irp_kedro.detectors.differnet import DifferNet
from irp_kedro.detectors.gaussian import Gaussian
from irp_kedro.detectors.settings import DetectorSettings
from irp_kedro.features.bank import FeatureStore
from irp_kedro.features.extraction import extract

Row = dict[str, object]


class Trial:
    """One set and seed: features of training images, then of test images, and the test labels."""

    def __init__(self, name: str, seed: int, options: argparse.Namespace) -> None:
        level = options.level
        asked = {
            "contamination": {"level": level},
            "seed": seed,
            "device": "cpu",
            "features": {"precision": options.features},
        }
        self.parameters = read_parameters(named_set(name, options.images), asked)
        training, test = split_set(self.parameters)
        blind = BlindSet.of(training, seed=seed)
        both = [*blind.digests, *test["digest"]]
        store = FeatureStore(ROOT / "data" / "04_feature" / "store")
        everything = prepared(training, self.parameters), prepared(test, self.parameters)
        everything[0].paths.update(everything[1].paths)
        bank, _ = extract(everything[0], extraction_plan(self.parameters), store, torch.device("cpu"))
        self.features = torch.from_numpy(bank.read(both))
        self.training: Rows = np.arange(len(blind))
        self.test: Rows = np.arange(len(blind), len(both))
        self.labels = is_anomalous(test)
        self.named = {"set": name, "level": level, "seed": seed}

    def detector(self, rate: float, *, standardise: bool, precision: str = "auto") -> DifferNet:
        asked = loop_settings(self.parameters).detector_settings
        training = asked.training.model_copy(update={"learning_rate": rate, "precision": precision})
        config = DetectorSettings(**{**vars(asked), "training": training})
        detector = DifferNet(self.features, config)
        if not standardise:
            width = self.features.shape[2]
            detector.mean, detector.deviation = torch.zeros(width), torch.ones(width)
        return detector

    def auroc(self, detector: DifferNet) -> float:
        return float(roc_auc_score(self.labels, detector.score(self.test)))

    def refined(self) -> Rows:
        judge = Gaussian(self.features, loop_settings(self.parameters).detector_settings)
        judge.fit(self.training, epochs=1)
        order = np.argsort(judge.score(self.training), kind="stable")
        return np.sort(self.training[order[: len(order) - len(order) // 10]])


def constant(trial: Trial, epochs: int, *, standardise: bool, precision: str = "auto") -> tuple[DifferNet, int]:
    detector = trial.detector(2e-4, standardise=standardise, precision=precision)
    detector.fit(trial.training, epochs=epochs)
    return detector, epochs


def cosine(trial: Trial, epochs: int, *, patience: int = 0) -> tuple[DifferNet, int]:
    detector, seen, held_out = trial.detector(1e-3, standardise=True), trial.training, trial.training[:0]
    if patience:
        order = seeding.stream(trial.parameters.seed, "held out").permutation(len(seen))
        held_out, seen = seen[order[: len(seen) // 10]], np.sort(seen[order[len(seen) // 10 :]])
    best, since = math.inf, 0
    for epoch in range(epochs):
        for group in detector._optimiser.param_groups:
            group["lr"] = 1e-3 * 0.5 * (1 + math.cos(math.pi * epoch / epochs))
        detector.fit(seen, epochs=1)
        if patience:
            level = float(np.median(detector.score(held_out)))
            best, since = (level, 0) if level < best else (best, since + 1)
            if since == patience:
                return detector, epoch + 1
    return detector, epochs


def refitted(trial: Trial, epochs: int, *, warm: bool) -> tuple[DifferNet, int]:
    detector, refined = trial.detector(2e-4, standardise=True), trial.refined()
    if warm:
        detector.fit(trial.training, epochs=epochs // 2)
    detector.fit(refined, epochs=epochs - epochs // 2 if warm else epochs)
    return detector, epochs


CANDIDATES: dict[str, Callable[[Trial, int], tuple[DifferNet, int]]] = {
    "paper": lambda trial, epochs: constant(trial, epochs, standardise=False),
    "standardised": lambda trial, epochs: constant(trial, epochs, standardise=True),
    "float32": lambda trial, epochs: constant(trial, epochs, standardise=True, precision="float32"),
    "cosine": cosine,
    "plateau": lambda trial, epochs: cosine(trial, epochs, patience=3),
    "refined": lambda trial, epochs: refitted(trial, epochs, warm=False),
    "warm": lambda trial, epochs: refitted(trial, epochs, warm=True),
}


def measure(trial: Trial, candidate: str, epochs: int) -> Row:
    wall, cpu = time.perf_counter(), time.process_time()
    detector, spent = CANDIDATES[candidate](trial, epochs)
    took = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}
    told = {"candidate": candidate, "epochs": epochs, "spent": spent}
    return {**trial.named, **told, **took, "auroc": trial.auroc(detector)}


def show(rows: list[Row]) -> None:
    """Print the mean over seeds, and the spread."""
    epochs = sorted({int(str(row["epochs"])) for row in rows})
    for name in dict.fromkeys(row["set"] for row in rows):
        table = Table(
            str(name), *[f"{count} epochs" for count in epochs], "wall s an epoch", "cpu s an epoch", box=None
        )
        for candidate in dict.fromkeys(row["candidate"] for row in rows):
            cells, own = [], [row for row in rows if (row["set"], row["candidate"]) == (name, candidate)]
            for count in epochs:
                found = [float(str(row["auroc"])) for row in own if row["epochs"] == count]
                cells.append(f"{np.mean(found):.3f} ±{np.std(found):.3f}")
            for clock in ("wall", "cpu"):
                each = np.median([float(str(row[clock])) / int(str(row["spent"])) for row in own])
                cells.append(f"{each:.2f}")
            table.add_row(str(candidate), *cells)
        Console(width=140).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, help="folder with the real sets")
    parser.add_argument("--sets", nargs="+", default=["sample"])
    parser.add_argument("--level", type=float, default=0.3)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=int, nargs="+", default=[3, 6, 12, 24])
    parser.add_argument("--features", choices=["auto", "float32", "bfloat16"], default="auto", help="precision")
    parser.add_argument("--candidates", nargs="+", choices=sorted(CANDIDATES), default=list(CANDIDATES))
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = []
    for name in options.sets:
        for seed in options.seeds:
            trial = Trial(name, seed, options)
            for epochs in options.epochs:
                rows += [measure(trial, candidate, epochs) for candidate in options.candidates]
    show(rows)
    sys.stdout.write(json.dumps(rows) + "\n")


if __name__ == "__main__":
    main()
