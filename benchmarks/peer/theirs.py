"""Run the original DifferNet's own training code, from a checkout, on a set of images; write what it took.

    python theirs.py SPEC.json RESULT.json          (started by run.py)

Its sources are imported as they are. From outside, before they are used, module attributes are replaced: the
configuration's values; ``alexnet`` by the backbone that irp-kedro uses (AlexNet's weights cannot be had
offline), frozen, so that no gradient runs through it; ``roc_auc_score`` by a function that keeps the scores;
and, for a flow of two hidden layers, the third layer of its networks by the identity. The checkout has no
refinement: a cycle is one call of its ``train`` on a folder of links to the images that are left, with the
model of the call before (Adam's moments start anew in each call).
"""

import importlib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from irp_kedro.core.removal import AllAbove
from irp_kedro.core.threshold import threshold
from irp_kedro.features.backbone import Backbone, load_levels
from irp_kedro.parameters import RefinementParameters

Timing = dict[str, float]


class Stopwatch:
    """Seconds by stage (``epochs``, ``scoring``, ``test``) and part of it, wall and process."""

    def __init__(self) -> None:
        self.wall: Timing = {}
        self.cpu: Timing = {}
        self.stage = ""

    def add(self, part: str, began: tuple[float, float]) -> None:
        wall, cpu = time.perf_counter() - began[0], time.process_time() - began[1]
        stage = f"{self.stage}: {part}"
        self.wall[stage] = self.wall.get(stage, 0.0) + wall
        self.cpu[stage] = self.cpu.get(stage, 0.0) + cpu


def now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


class FrozenFeatures(nn.Module):
    """Our backbone where the original expects AlexNet's ``features``: images -> (n, channels, 1, 1)."""

    def __init__(self, name: str, precision: str, watch: Stopwatch) -> None:
        super().__init__()
        self.backbone = Backbone(name, [1.0], precision)
        self.backbone.mean.zero_()  # the original normalises when it loads
        self.backbone.std.fill_(1.0)
        self.precision = precision
        self.watch = watch

    def train(self, mode: bool = True) -> "FrozenFeatures":
        return super().train(False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        began = now()
        with torch.no_grad(), torch.autocast(images.device.type, torch.bfloat16, self.precision == "bfloat16"):
            pooled = self.backbone(images)[:, :, None, None]
        if images.device.type == "cuda":
            torch.cuda.synchronize()  # once a batch, as its own code does to read the loss
        self.watch.add("features", began)
        return pooled


class Extractor(nn.Module):
    """Stands for ``torchvision.models.alexnet``."""

    def __init__(self, features: nn.Module) -> None:
        super().__init__()
        self.features = features


class TimedLoader:
    """A data loader whose loading is timed apart, and each walk through it as a whole."""

    def __init__(self, loader: Any, watch: Stopwatch, stage: str) -> None:
        self.loader, self.watch, self.stage = loader, watch, stage

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[Any]:
        self.watch.stage, whole = self.stage, now()
        batches = iter(self.loader)
        while True:
            began = now()
            batch = next(batches, None)
            self.watch.add("load and rotate", began)
            if batch is None:
                break
            yield batch
        self.watch.add("all", whole)


class Original:
    """The checkout's modules, configured."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec = spec
        self.watch = Stopwatch()
        self.scores = np.empty(0)
        self.auroc = float("nan")
        torch.cuda.set_device = lambda device: None  # its configuration picks a GPU when it is imported
        sys.path.insert(0, spec["peer"])
        self.config = importlib.import_module("config")
        self._configure()
        self.model = importlib.import_module("model")
        self.model.alexnet = lambda pretrained: Extractor(self._features())
        if spec["flow"]["layers"] == 2:
            self._two_layers()
        self.training = importlib.import_module("train")
        self.utils = importlib.import_module("utils")
        self._keep_scores()

    def call(self, folder: Path, epochs: int, *, scored: str) -> None:
        """Train for ``epochs`` on ``folder``/train and score ``folder``/test, by one call of its ``train``."""
        self.config.sub_epochs = epochs
        trainset, testset = self.utils.load_datasets(str(folder.parent), folder.name)
        self.names = [Path(path).name for path, _ in testset.samples]
        loader, _ = self.utils.make_dataloaders(trainset, testset)
        in_order = torch.utils.data.DataLoader(testset, batch_size=self.config.batch_size_test, shuffle=False)
        trained = self.training.train(
            TimedLoader(loader, self.watch, "epochs"), TimedLoader(in_order, self.watch, scored)
        )
        self.training.DifferNet = lambda: trained  # the next call goes on with this model

    def _configure(self) -> None:
        spec, config = self.spec, self.config
        levels = load_levels(spec["backbone"])
        config.verbose, config.save_model, config.meta_epochs = False, False, 1
        config.device = spec["device"]
        config.img_size = (spec["size"], spec["size"])
        config.img_dims = [3, *config.img_size]
        config.norm_mean, config.norm_std = list(levels.mean), list(levels.std)
        config.n_scales = spec["n_scales"]
        config.n_coupling_blocks = spec["flow"]["blocks"]
        config.fc_internal = spec["flow"]["hidden"]
        config.clamp_alpha = spec["flow"]["clamp"]
        config.n_transforms, config.n_transforms_test = spec["train_views"], spec["score_views"]
        config.batch_size = spec["batch_views"] // spec["train_views"]
        config.batch_size_test = config.batch_size * config.n_transforms // config.n_transforms_test
        with torch.no_grad():
            width = self._features()(torch.zeros(1, 3, 64, 64)).shape[1]
        config.n_feat = width * config.n_scales

    def _features(self) -> FrozenFeatures:
        return FrozenFeatures(self.spec["backbone"], self.spec["extractor_precision"], self.watch)

    def _two_layers(self) -> None:
        class TwoLayers(self.model.F_fully_connected):  # type: ignore[misc, name-defined]
            def __init__(self, *arguments: Any, **named: Any) -> None:
                super().__init__(*arguments, **named)
                self.fc2b = nn.Identity()  # rectified once more, which changes nothing

        self.model.F_fully_connected = TwoLayers

    def _keep_scores(self) -> None:
        measure = self.training.roc_auc_score

        def keep(is_anomaly: Any, scores: Any) -> float:
            self.scores = np.asarray(scores, dtype=np.float64)
            self.auroc = float(measure(is_anomaly, scores)) if len(set(is_anomaly)) > 1 else float("nan")
            return self.auroc

        self.training.roc_auc_score = keep


def link(folder: Path, images: dict[str, str]) -> None:
    folder.mkdir(parents=True)
    for name, path in images.items():
        (folder / name).symlink_to(path)


def main() -> None:
    spec = json.loads(Path(sys.argv[1]).read_text())
    torch.set_num_threads(spec["threads"])
    torch.manual_seed(spec["seed"])
    original, home = Original(spec), Path(spec["home"]) / "theirs"
    rule = RefinementParameters(**spec["rule"])
    left: dict[str, str] = dict(spec["train"])
    calls, removed, began = [], 0, now()
    original.watch.wall.clear()
    original.watch.cpu.clear()
    for cycle in range(spec["measured_cycles"] + 1):
        folder, started = home / f"cycle_{cycle}", now()
        link(folder / "train" / "good", left)
        last = cycle == rule.max_cycles
        link(folder / "test" / "good", spec["test_normal"] if last else left)
        if last:
            link(folder / "test" / "defect", spec["test_anomalous"])
        epochs = spec["measured_epochs"] if cycle == 0 else rule.epochs_per_cycle
        original.call(folder, epochs, scored="test" if last else "scoring")
        took = time.perf_counter() - started[0]
        calls.append({"epochs": epochs, "images": len(left), "scored": not last, "wall": took})
        if not last:
            leaving = AllAbove(rule.max_removed_per_cycle).select(
                original.scores, threshold(original.scores, rule), allowed=len(left) // 2
            )
            removed += len(leaving)
            for position in leaving:
                del left[original.names[position]]
    result = {
        "calls": calls,
        "wall": original.watch.wall,
        "cpu": original.watch.cpu,
        "total": {"wall": time.perf_counter() - began[0], "cpu": time.process_time() - began[1]},
        "auroc": original.auroc,
        "removed": removed,
    }
    Path(sys.argv[2]).write_text(json.dumps(result))


if __name__ == "__main__":
    main()
