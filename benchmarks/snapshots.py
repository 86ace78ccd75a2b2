"""What versioning costs: the one-time copy of the images into DVC's cache, then one snapshot after another.

    python benchmarks/snapshots.py --images 2331 --snapshots 50

Real git and DVC repositories in a temporary folder; images are random bytes of the size given. Prints a table.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from irp_kedro.core.records import removal_log
from irp_kedro.core.refinement import RefinementCycle
from irp_kedro.core.removal import Decision
from irp_kedro.lineage.contents import StoredImage, list_source_images
from irp_kedro.lineage.finding import find_snapshots
from irp_kedro.lineage.record import Provenance
from irp_kedro.lineage.restoring import restore
from irp_kedro.lineage.saving import SnapshotContent, save_snapshot
from irp_kedro.lineage.store import StoreSettings, open_store
from irp_kedro.lineage.verifying import verify

PROVENANCE = Provenance(
    cell="benchmark",
    content="source",
    parameters="0" * 8,
    source_manifest="",
    contamination_record="",
    feature_bank="",
    code_revision="",
    code_changed=None,
    code="",
    device="cpu",
    versions={},
)


def make_images(folder: Path, number: int, kilobytes: int) -> pd.DataFrame:
    """Return the manifest columns that snapshots need, of files just written."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows = []
    for index in range(number):
        content = rng.bytes(kilobytes * 1000)
        path = folder / f"{index:06d}.png"
        path.write_bytes(content)
        rows.append((path.as_posix(), hashlib.md5(content, usedforsecurity=False).hexdigest()))
    table = pd.DataFrame(rows, columns=["path", "digest"])
    return table.assign(image_id=table["digest"].str[:16])


def make_cycle(
    number: int, kept: list[str], gone: list[str], digests: dict[str, str], last: int
) -> RefinementCycle:
    """Return a cycle in which ``gone`` left."""
    decisions = tuple(
        Decision(
            cycle=number,
            action="removed",
            image_id=image_id,
            digest=digests[image_id],
            score=9.0,
            median_score=1.0,
            threshold=2.0,
        )
        for image_id in gone
    )
    return RefinementCycle(
        cycle=number,
        kept=tuple(kept),
        decisions=decisions,
        judged={},
        losses=(),
        epochs=0,
        stop="the end" if number == last else "",
        final_scores={},
    )


def save_chain(
    root: Path, training: pd.DataFrame, images: list[StoredImage], snapshots: int, each: int
) -> list[float]:
    """Save a chain of snapshots, each with ``each`` images less; return the seconds each took."""
    store, kept, seconds = open_store(root, StoreSettings()), list(training["image_id"]), []
    digests = dict(zip(training["image_id"], training["digest"], strict=True))
    for number in range(snapshots):
        gone = kept[-each:] if number else []
        kept = kept[: len(kept) - len(gone)]
        cycle = make_cycle(number, kept, gone, digests, snapshots - 1)
        content = SnapshotContent(
            strategy="iterative_refinement",
            cycle=cycle,
            removals=removal_log([cycle], training, policy="", scoring="", detector="", judge=""),
            images=images,
            model="",
            provenance=PROVENANCE,
        )
        chain = root / "benchmark" / "iterative_refinement"
        started = time.perf_counter()
        save_snapshot(chain, content, store, mode="dvc", tree_every=1)
        seconds.append(time.perf_counter() - started)
    return seconds


def disk_bytes(folder: Path) -> int:
    """Return what a folder occupies on disk."""
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2331)
    parser.add_argument("--kilobytes", type=int, default=60, help="of each image")
    parser.add_argument("--snapshots", type=int, default=50)
    parser.add_argument("--removed", type=int, default=10, help="images that leave in each cycle")
    options = parser.parse_args()
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with tempfile.TemporaryDirectory() as name:
        repository = Path(name)
        for command in (["git", "init", "--quiet"], ["dvc", "init", "--quiet"]):
            subprocess.run(command, cwd=repository, check=True)  # noqa: S603 - our own words
        training = make_images(repository / "images", options.images, options.kilobytes)
        images, root = list_source_images(training), repository / "lineage"
        store = open_store(root, StoreSettings())
        started = time.perf_counter()
        store.keep_images(images)
        copied = time.perf_counter() - started
        before = disk_bytes(repository)
        seconds = save_chain(root, training, images, options.snapshots, options.removed)
        added = disk_bytes(repository) - before
        rows = [
            (f"images into DVC's cache, once ({options.images} of {options.kilobytes} kB)", f"{copied:.2f} s"),
            (f"{options.snapshots} snapshots", f"{sum(seconds):.2f} s"),
            ("one snapshot, median", f"{1000 * float(np.median(seconds)):.1f} ms"),
            (f"{options.snapshots} snapshots on disk", f"{added / 1e6:.1f} MB"),
        ]
        snapshots = find_snapshots(root)
        started = time.perf_counter()
        restore(snapshots[-1], store, repository / "restored")
        rows.append(("restore of the last, every MD5 checked", f"{time.perf_counter() - started:.2f} s"))
        started = time.perf_counter()
        checked = verify(root, {"dvc": store})
        rows.append((f"verify all, {len(checked.faults)} faults", f"{time.perf_counter() - started:.2f} s"))
    table = Table("what", "cost", box=None)
    for row in rows:
        table.add_row(*row)
    Console().print(table)


if __name__ == "__main__":
    main()
