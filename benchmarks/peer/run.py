"""irp-kedro against the original DifferNet, in turns, on the same images, views, epochs and cycles.

    git clone https://github.com/marco-rudolph/differnet
    python benchmarks/peer/run.py --peer differnet --images FOLDER
    python benchmarks/peer/run.py --peer differnet --images FOLDER --flow paper
    python benchmarks/peer/run.py --peer differnet --images FOLDER --peer-as-published
    python benchmarks/peer/run.py --peer differnet --images FOLDER --device cuda

The first has our default flow on both sides, the second the paper's, the last our defaults against its own
sizes. Setting: a set at a contamination; 10 epochs, then 5 cycles of scoring, removal and 2 epochs, then the
test split; 4 views a training image, 8 for a score; both remove by the same rule. Times begin after imports.
The original needs tqdm and matplotlib beside this project's packages. --peer-cycles and --peer-epochs measure
a part of its run; what is scaled from it is marked as scaled, and has no AUROC.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.sets import is_anomalous, named_set, read_parameters, split

from irp_kedro.parameters import Parameters, ViewParameters

HERE = Path(__file__).parent
FLOWS = {"default": None, "paper": {"blocks": 8, "hidden": 2048, "layers": 3, "clamp": 3.0}}
EPOCHS, CYCLES, EPOCHS_PER_CYCLE = 10, 5, 2
TRAIN_VIEWS, SCORE_VIEWS = 4, 8


def spec_of(options: argparse.Namespace, parameters: Parameters, home: Path) -> dict[str, Any]:
    """Return what both sides are told."""
    training, test = split(parameters)
    bad = is_anomalous(test)
    named = {
        key: {
            f"{row.digest}{Path(row.path).suffix}": str(Path(row.path).resolve()) for row in table.itertuples()
        }
        for key, table in (("train", training), ("test_normal", test[~bad]), ("test_anomalous", test[bad]))
    }
    scales = list(parameters.features.scales)
    return {
        **named,
        "home": str(home),
        "seed": parameters.seed,
        "threads": options.threads,
        "device": options.device,
        "backbone": parameters.backbone,
        "size": parameters.preparation.size,
        "scales": scales,
        "n_scales": len(scales),
        "flow": FLOWS[options.flow] or parameters.flow.model_dump(),
        "bank_views": ViewParameters().bank,
        "train_views": TRAIN_VIEWS,
        "score_views": SCORE_VIEWS,
        "batch_views": parameters.training.batch_views,
        "batch_views_extraction": parameters.features.batch_views,
        "extraction_precision": parameters.features.precision,
        "training_precision": parameters.training.precision,
        "rule": {
            "judge": (),
            "scoring": "in_sample",
            "policy": "all_above",
            "threshold": "mad",
            "mad_factor": options.mad_factor,
            "restore": False,
            "reference": 1.0,
            "doubt": 1.0,
            "pretrain_epochs": EPOCHS,
            "epochs_per_cycle": EPOCHS_PER_CYCLE,
            "max_cycles": CYCLES,
            "patience": CYCLES,
            "checkpoint_every": CYCLES + 1,  # neither side can be taken up again
            "max_removed_fraction": 0.5,
        },
    }


def spec_of_peer(options: argparse.Namespace, spec: dict[str, Any]) -> dict[str, Any]:
    """Return what the original is told: the same, or its published sizes."""
    told = {
        **spec,
        "peer": str(options.peer.resolve()),
        "extractor_precision": options.peer_precision,
        "measured_cycles": options.peer_cycles,
        "measured_epochs": options.peer_epochs,
    }
    if options.peer_as_published:
        told |= {"size": 448, "n_scales": 3, "flow": FLOWS["paper"]}
    return told


def start(script: str, spec: dict[str, Any], home: Path) -> dict[str, Any]:
    """Run one side in a process of its own; return what it wrote."""
    home.mkdir(parents=True)
    told, result = home / "spec.json", home / "result.json"
    told.write_text(json.dumps({**spec, "home": str(home)}))
    environment = os.environ | {
        "OMP_NUM_THREADS": str(spec["threads"]),
        "MKL_NUM_THREADS": str(spec["threads"]),
    }
    command = [sys.executable, str(HERE / script), str(told), str(result)]
    subprocess.run(command, check=True, env=environment, cwd=home, stdout=sys.stderr)  # noqa: S603 - our scripts
    return json.loads(result.read_text())


def peer_total(run: dict[str, Any], spec: dict[str, Any], clock: str) -> tuple[float, dict[str, float], bool]:
    """Return seconds of the original's whole run, views a second by stage, and whether cycles were scaled."""
    took, calls = run[clock], run["calls"]
    trained = sum(call["epochs"] * call["images"] for call in calls) * spec["train_views"]
    scored = sum(call["images"] for call in calls if call["scored"]) * spec["score_views"]
    n_test = len(spec["test_normal"]) + len(spec["test_anomalous"])
    parts = {part: took.get(f"epochs: {part}", 0.0) for part in ("load and rotate", "features", "all")}
    flow = parts["all"] - parts["load and rotate"] - parts["features"]
    rates = {
        "load and rotate": trained / parts["load and rotate"],
        "features": trained / parts["features"],
        "flow step": trained / flow,
        "training, all of it": trained / parts["all"],
        "scoring": scored / took["scoring: all"],
    }
    if "test: all" in took:
        return run["total"][clock], rates, False
    n_train = len(spec["train"])
    epochs = EPOCHS + CYCLES * EPOCHS_PER_CYCLE
    seconds = epochs * n_train * spec["train_views"] / rates["training, all of it"]
    seconds += (CYCLES * n_train + n_test) * spec["score_views"] / rates["scoring"]
    return seconds, rates, True


def show(spec: dict[str, Any], ours: list[dict[str, Any]], peers: list[dict[str, Any]]) -> None:
    """Print views a second by stage, times and AUROC of both, and their ratios."""
    console = Console()
    for clock in ("wall", "cpu"):
        totals = [peer_total(run, spec, clock) for run in peers]
        seconds = float(np.median([total for total, _, _ in totals]))
        scaled = " (scaled)" if totals[0][2] else ""
        first, second = (
            float(np.median([run[key]["total"][clock] for run in ours])) for key in ("first", "second")
        )
        table = Table(f"{clock} seconds", "original", "ours", "original / ours", box=None)
        table.add_row(
            "first run, bank included", f"{seconds:.1f}{scaled}", f"{first:.1f}", f"{seconds / first:.1f}"
        )
        table.add_row("second run", f"{seconds:.1f}{scaled}", f"{second:.1f}", f"{seconds / second:.1f}")
        console.print(table)
        console.print(stages(ours, [rates for _, rates, _ in totals], clock))
    aurocs = {"original": [run["auroc"] for run in peers], "ours": [run["first"]["auroc"] for run in ours]}
    for side, values in aurocs.items():
        known = [value for value in values if value is not None]
        spread = f"; mean {np.mean(known):.3f}, deviation {np.std(known):.3f}" if len(known) > 1 else ""
        console.print(f"AUROC {side}: {', '.join(f'{value:.3f}' for value in known) or 'run in part'}{spread}")
    removed = {"original": [run["removed"] for run in peers], "ours": [run["first"]["removed"] for run in ours]}
    console.print(f"removed: {removed}")


def stages(ours: list[dict[str, Any]], theirs: list[dict[str, float]], clock: str) -> Table:
    """Return the table of views a second by stage; stages are set side by side where both have them."""
    extracted = [run["first"]["extraction"]["views"] / run["first"]["extraction"][clock] for run in ours]
    trained = [run["second"]["trained_views"] / run["second"]["loop"][clock] for run in ours]
    beside = {"features": float(np.median(extracted)), "flow step": float(np.median(trained))}
    table = Table("views a second", "original", "ours", "ours / original", box=None)
    for stage in theirs[0]:
        rate = float(np.median([rates[stage] for rates in theirs]))
        own = [f"{beside[stage]:.1f}", f"{beside[stage] / rate:.2f}"] if stage in beside else ["", ""]
        table.add_row(stage, f"{rate:.1f}", *own)
    table.caption = "ours: features with decoding and rotation, once; flow step with the loop's scorings"
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", type=Path, required=True, help="checkout of marco-rudolph/differnet")
    parser.add_argument("--images", type=Path, help="folder with mvtec_ad")
    parser.add_argument("--set", default="pill", dest="name", help="a class of MVTec AD, kolektor, or sample")
    parser.add_argument("--level", type=float, default=0.3)
    parser.add_argument("--flow", choices=sorted(FLOWS), default="default")
    parser.add_argument("--peer-as-published", action="store_true", help="448 px, 3 scales, its own flow")
    parser.add_argument(
        "--peer-precision", choices=["float32", "bfloat16"], default="float32", help="of features"
    )
    parser.add_argument("--peer-cycles", type=int, default=CYCLES, help="of the original that are measured")
    parser.add_argument(
        "--peer-epochs", type=int, default=EPOCHS, help="before its first cycle that are measured"
    )
    parser.add_argument("--mad-factor", type=float, default=7.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--device", default="cpu", help="of both: cpu, cuda")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    ours, peers = [], []
    with tempfile.TemporaryDirectory(prefix="irp-peer-") as folder:
        for seed in options.seeds:
            asked = {"contamination": {"level": options.level}, "seed": seed}
            parameters = read_parameters(named_set(options.name, options.images), asked)
            spec = spec_of(options, parameters, Path(folder))
            ours.append(start("ours.py", spec, Path(folder) / f"ours-{seed}"))
            peers.append(start("theirs.py", spec_of_peer(options, spec), Path(folder) / f"peer-{seed}"))
    show(spec, ours, peers)
    sys.stdout.write(json.dumps({"ours": ours, "original": peers}) + "\n")


if __name__ == "__main__":
    main()
