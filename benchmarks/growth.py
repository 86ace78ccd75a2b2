"""How time and memory grow with the number of images: linear, and flat apart from the bank.

    python benchmarks/growth.py [--images 500 2000 8000] [--extracted 500 2000] [--threads 1] [--device cuda]

Each size runs in a process of its own, so that its peak of memory is its own. Extraction reads generated
images; the loop (three cycles judged by the held-out Gaussian, then the flow on what is left) runs on a bank
filled with generated features of the width and number of views that the defaults have.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.sets import extraction_plan, loop_settings, read_parameters

from irp_kedro.core.cost import peak_memory_mb
from irp_kedro.features.bank import ExtractionRecipe, FeatureStore
from irp_kedro.features.extraction import extract
from irp_kedro.features.preparation import Preparation, PreparedImages
from irp_kedro.features.views import even_angles
from irp_kedro.strategies import run_strategy

WIDTH = 944  # of efficientnet_lite0 at two scales
EPOCHS = 2


def digest(number: int) -> str:
    return hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()


def extraction(number: int, home: Path, device: str) -> dict[str, float]:
    """Extract ``number`` generated images; return seconds and memory."""
    parameters, folder = read_parameters(), home / "images"
    folder.mkdir()
    rng, size = np.random.default_rng(0), parameters.preparation.size
    noise = rng.integers(0, 256, (size + 64, size + 64, 3), dtype=np.uint8)
    paths = {}
    for index in range(number):
        path, left, top = folder / f"{index}.png", *rng.integers(0, 64, 2)
        Image.fromarray(noise[top : top + size, left : left + size] ^ (index % 251)).save(
            path, compress_level=1
        )
        paths[digest(index)] = path
    images = PreparedImages(paths, Preparation(crop="none", size=size))
    before, began = peak_memory_mb(), (time.perf_counter(), time.process_time())
    bank, _ = extract(images, extraction_plan(parameters), FeatureStore(home / "store"), torch.device(device))
    took = {"wall": time.perf_counter() - began[0], "cpu": time.process_time() - began[1]}
    return {**took, "before_mb": before, "peak_mb": peak_memory_mb(), "bank_mb": bank_mb(len(bank.digests))}


def loop(number: int, home: Path, device: str) -> dict[str, float]:
    """Refine a set of ``number`` generated feature vectors; return seconds and memory."""
    rule = {"max_cycles": 3, "patience": 3, "mad_factor": 3.0}
    parameters = read_parameters({"refinement": rule, "training": {"epochs": EPOCHS}, "device": device})
    store, n_views = FeatureStore(home / "store"), parameters.views.bank
    recipe = ExtractionRecipe(
        backbone="generated",
        weights="0" * 16,
        crop="none",
        size=0,
        angles=tuple(even_angles(n_views)),
        scales=(1.0,),
        precision="float32",
    )
    rng = np.random.default_rng(0)
    spread = rng.gamma(2.0, 0.5, WIDTH)
    digests = [digest(index) for index in range(number)]
    for start in range(0, number, 500):
        own = digests[start : start + 500]
        images = rng.normal(size=(len(own), 1, WIDTH)) * spread
        images[rng.random(len(own)) < 0.05] *= 3.0
        views = images + 0.3 * rng.normal(size=(len(own), n_views, WIDTH)) * spread
        store.write_shard(recipe, own, views.astype(np.float16))
    manifest = pd.DataFrame({"image_id": digests, "digest": digests})
    before, began = peak_memory_mb(), (time.perf_counter(), time.process_time())
    cycles = list(
        run_strategy("iterative_refinement", manifest, store.open(recipe, digests), loop_settings(parameters))
    )
    took = {"wall": time.perf_counter() - began[0], "cpu": time.process_time() - began[1]}
    judged = [cycle.seconds for cycle in cycles[1:-1]]
    return {
        **took,
        "cycle_wall": float(np.mean(judged)),
        "last_wall": cycles[-1].seconds,
        "removed": number - len(cycles[-1].record.kept),
        "before_mb": before,
        "peak_mb": peak_memory_mb(),
        "bank_mb": bank_mb(number),
    }


def bank_mb(number: int) -> float:
    return number * read_parameters().views.bank * WIDTH * 2 / 1e6


def measured(what: str, number: int, options: argparse.Namespace) -> dict[str, Any]:
    """Run one size in a process of its own."""
    asked = [
        "--only",
        what,
        "--images",
        str(number),
        "--threads",
        str(options.threads),
        "--device",
        options.device,
    ]
    command = [sys.executable, __file__, *asked]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - this script
    return {"images": number, **json.loads(done.stdout.splitlines()[-1])}


def show(title: str, rows: list[dict[str, Any]]) -> None:
    table = Table(title, "wall s", "cpu s", "cpu ms an image", "peak MB", "less the bank", box=None)
    for row in rows:
        cells = [f"{row['wall']:.1f}", f"{row['cpu']:.1f}", f"{1000 * row['cpu'] / row['images']:.2f}"]
        table.add_row(
            f"{row['images']}", *cells, f"{row['peak_mb']:.0f}", f"{row['peak_mb'] - row['bank_mb']:.0f}"
        )
    Console(width=120).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[500, 2000, 8000], help="of the loop")
    parser.add_argument("--extracted", type=int, nargs="*", default=[500, 2000], help="of extraction")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--only", choices=["extraction", "loop"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.only:
        with tempfile.TemporaryDirectory(prefix="irp-growth-") as folder:
            run = {"extraction": extraction, "loop": loop}[options.only]
            sys.stdout.write(json.dumps(run(options.images[0], Path(folder), options.device)) + "\n")
        return
    rows = {
        what: [measured(what, number, options) for number in numbers]
        for what, numbers in (("extraction", options.extracted), ("loop", options.images))
    }
    show("extraction, images", rows["extraction"])
    show(f"loop: 3 cycles, {EPOCHS} epochs; images", rows["loop"])
    sys.stdout.write(json.dumps(rows) + "\n")


if __name__ == "__main__":
    main()
