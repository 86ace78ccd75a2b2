"""How time and memory grow with the number of images: linear, and flat apart from the bank.

    python benchmarks/growth.py [--images 500 2000 8000] [--extracted 500 2000] [--threads 1] [--device cuda]

Each size runs in a process of its own, so that its peak of memory is its own. Extraction reads generated
images, once pooled and once by patches; the loop (three cycles of the default judges, then the flow on what is
left; --judge asks others) runs on banks filled with generated features of the shapes that the defaults have.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
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
from irp_kedro.detectors.registry import needs_colours, needs_fine_patches, needs_patches
from irp_kedro.features.bank import ExtractionRecipe, FeatureBank, FeatureStore
from irp_kedro.features.extraction import extract
from irp_kedro.features.preparation import Preparation, PreparedImages
from irp_kedro.features.views import even_angles
from irp_kedro.strategies import run_strategy

WIDTH = 944  # of efficientnet_lite0 at two scales
PATCHES, CHANNELS = 100, 432  # of its two deepest maps, at the default size
FINE_PATCHES, FINE_CHANNELS = 400, 152  # of the two before the deepest
COLOURS = 4  # values of a cell, of which there are as many
EPOCHS = 2


def digest(number: int) -> str:
    return hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()


def extraction(
    number: int, home: Path, options: argparse.Namespace, *, patches: bool = False
) -> dict[str, float]:
    """Extract ``number`` generated images; return seconds and memory."""
    parameters, folder = read_parameters(), home / "images"
    folder.mkdir()
    plan, size = extraction_plan(parameters), parameters.preparation.size
    if patches:
        told, size = parameters.patches, parameters.patches.size
        plan = replace(plan, scales=(1.0,), n_views=told.turns, patch_levels=told.levels)
        plan = replace(plan, finer=True, coloured=True)
    rng = np.random.default_rng(0)
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
    bank, _ = extract(images, plan, FeatureStore(home / "store"), torch.device(options.device))
    took = {"wall": time.perf_counter() - began[0], "cpu": time.process_time() - began[1]}
    banks = [bank, bank.fine(), bank.colours()] if bank.finer else [bank]
    values = sum(one.read(bank.digests[:1]).size for one in banks) * number
    return {**took, "before_mb": before, "peak_mb": peak_memory_mb(), "bank_mb": values * 2 / 1e6}


def generated(
    store: FeatureStore, digests: list[str], shape: tuple[int, int], *, levels: int = 0, skip: int = 0
) -> FeatureBank:
    """Fill a bank with generated features (n_images, *shape); a twentieth of the images is spread wider."""
    n_vectors, width = shape
    recipe = ExtractionRecipe(
        backbone="generated",
        weights="0" * 16,
        crop="none",
        size=0,
        angles=tuple(even_angles(8)),
        scales=(1.0,),
        precision="float32",
        patch_levels=levels,
        patch_skip=skip,
    )
    rng = np.random.default_rng(0)
    spread = rng.gamma(2.0, 0.5, width)
    for start in range(0, len(digests), 250):
        own = digests[start : start + 250]
        images = rng.normal(size=(len(own), 1, width)) * spread
        images[rng.random(len(own)) < 0.05] *= 3.0
        vectors = images + 0.3 * rng.normal(size=(len(own), n_vectors, width)) * spread
        store.write_shard(recipe, own, vectors.astype(np.float16))
    return store.open(recipe, digests)


def loop(number: int, home: Path, options: argparse.Namespace) -> dict[str, float]:
    """Refine a set of ``number`` generated images; return seconds and memory."""
    rule = {"max_cycles": 3, "patience": 3} | ({"judge": options.judge} if options.judge else {})
    parameters = read_parameters({"refinement": rule, "training": {"epochs": EPOCHS}, "device": options.device})
    store, n_views = FeatureStore(home / "store"), parameters.views.bank
    digests = [digest(index) for index in range(number)]
    pooled, patches = generated(store, digests, (n_views, WIDTH)), None
    values = n_views * WIDTH
    if needs_patches(parameters.refinement.judge):
        levels = parameters.patches.levels
        patches = generated(store, digests, (PATCHES, CHANNELS), levels=levels)
        values += PATCHES * CHANNELS
        if needs_fine_patches(parameters.refinement.judge):
            fine = generated(store, digests, (FINE_PATCHES, FINE_CHANNELS), levels=levels, skip=1)
            patches = replace(patches, finer=fine.recipe)
            values += FINE_PATCHES * FINE_CHANNELS
        if needs_colours(parameters.refinement.judge):
            colours = generated(store, digests, (FINE_PATCHES, COLOURS), levels=1)
            patches = replace(patches, coloured=colours.recipe)
            values += FINE_PATCHES * COLOURS
    manifest = pd.DataFrame({"image_id": digests, "digest": digests})
    before, began = peak_memory_mb(), (time.perf_counter(), time.process_time())
    cycles = list(
        run_strategy("iterative_refinement", manifest, pooled, loop_settings(parameters), patches=patches)
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
        "bank_mb": number * 2 * values / 1e6,
    }


MEASURED: dict[str, Callable[[int, Path, argparse.Namespace], dict[str, float]]] = {
    "extraction": extraction,
    "patches": partial(extraction, patches=True),
    "loop": loop,
}


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
        *(["--judge", *options.judge] if options.judge else []),
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
    parser.add_argument("--judge", nargs="+", help="of the loop; left out: the default ones")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--only", choices=sorted(MEASURED), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.only:
        with tempfile.TemporaryDirectory(prefix="irp-growth-") as folder:
            found = MEASURED[options.only](options.images[0], Path(folder), options)
            sys.stdout.write(json.dumps(found) + "\n")
        return
    rows = {
        what: [measured(what, number, options) for number in numbers]
        for what, numbers in (
            ("extraction", options.extracted),
            ("patches", options.extracted),
            ("loop", options.images),
        )
    }
    show("extraction, pooled; images", rows["extraction"])
    show("extraction, patches; images", rows["patches"])
    show(f"loop: 3 cycles, {EPOCHS} epochs; images", rows["loop"])
    sys.stdout.write(json.dumps(rows) + "\n")


if __name__ == "__main__":
    main()
