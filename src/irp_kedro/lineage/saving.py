"""Save one snapshot: objects first, then pointers and record in one rename: a kill leaves all or nothing."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd
from filelock import FileLock, Timeout

from irp_kedro.core.refinement import RefinementCycle
from irp_kedro.errors import LineageError
from irp_kedro.lineage.contents import StoredImage, as_csv
from irp_kedro.lineage.record import (
    CONTENTS,
    RECORD,
    REMOVALS,
    LineageRecord,
    Provenance,
    cycle_folder,
    cycle_folders,
    cycle_number,
)
from irp_kedro.lineage.store import LineageStore
from irp_kedro.lineage.tree import tree_of
from irp_kedro.writing import file_aside, folder_aside, remove_folder, write_json

# One lock a process and chain; the operating system frees it when the process ends, however it ends.
_HELD: dict[Path, FileLock] = {}
LOCK = ".lock"


@dataclass(frozen=True, kw_only=True)
class SnapshotContent:
    """What one cycle hands over to be kept.

    Attributes:
        strategy: whose loop this is.
        cycle: what the loop did.
        removals: this cycle's rows of the removal log, paths joined.
        images: every image of cycle 0, whether or not it is still in the set.
        model: digest of the trained weights; empty before the last cycle.
        provenance: where all of it comes from.
    """

    strategy: str
    cycle: RefinementCycle
    removals: pd.DataFrame
    images: Sequence[StoredImage]
    model: str
    provenance: Provenance


def save_snapshot(
    chain: Path,
    content: SnapshotContent,
    store: LineageStore,
    *,
    mode: Literal["dvc", "plain"],
    tree_every: int,
) -> LineageRecord:
    """Keep a cycle in the folder ``chain``, which holds one strategy's cycles.

    That cycle and later ones of an earlier or interrupted run are cleared first.

    Args:
        chain: ``root/cell/strategy``.
        content: the cycle.
        store: where the objects go.
        mode: of the store, for the record.
        tree_every: the set is kept as an object of its own for the first, the last and every k-th cycle.

    Raises:
        LineageError: an image has changed, another run is writing the same chain, or the mode changed in it.
    """
    cycle = content.cycle
    claim_chain(chain, cycle.cycle, content.images, store)
    parent = _parent(chain, content, mode)
    _clear(chain, cycle.cycle)
    with file_aside(chain / ".gitignore") as ignore:
        ignore.write_text(store.ignored, encoding="utf-8")
    kept = set(cycle.kept)
    inside = [image for image in content.images if image.image_id in kept]
    digests = {image.name: image.digest for image in inside}
    size = sum(image.size for image in inside)
    removals = content.removals.to_csv(index=False, lineterminator="\n").encode()
    has_tree = cycle.is_last or cycle.cycle % tree_every == 0
    with folder_aside(chain / cycle_folder(cycle.cycle)) as folder:
        if cycle.cycle == 0:
            contents = store.keep_file(folder, CONTENTS, as_csv(content.images))
        else:
            contents = parent.contents if parent else ""
        record = LineageRecord(
            strategy=content.strategy,
            cycle=cycle.cycle,
            stop=cycle.stop,
            parent=parent.name if parent else "",
            parent_tree=parent.tree if parent else "",
            tree=store.keep_tree(folder, digests, size=size) if has_tree else tree_of(digests).oid,
            has_tree=has_tree,
            images=len(inside),
            size=size,
            removed=int((content.removals["action"] == "removed").sum()),
            restored=int((content.removals["action"] == "restored").sum()),
            removals=store.keep_file(folder, REMOVALS, removals),
            contents=contents,
            model=content.model,
            mode=mode,
            provenance=content.provenance,
        )
        write_json(folder / RECORD, record.as_dict())
    if cycle.is_last:
        _release(chain)
    return record


def claim_chain(chain: Path, cycle: int, images: Sequence[StoredImage], store: LineageStore) -> None:
    """Make this process the chain's writer and a first cycle's images safe, before anything is cleared.

    Raises:
        LineageError: an image has changed, or another run is writing the chain.
    """
    _lock(chain)
    if cycle == 0:
        store.keep_images(images)


def _clear(chain: Path, first: int) -> None:
    """Remove the cycles from ``first`` on, last one first: a kill in between leaves the chain's beginning."""
    for folder in reversed(cycle_folders(chain)):
        if cycle_number(folder) >= first:
            remove_folder(folder)
    for left in set(chain.glob(".*")) - {chain / ".gitignore", chain / LOCK}:  # by a killed run
        if left.is_dir():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def _parent(chain: Path, content: SnapshotContent, mode: str) -> LineageRecord | None:
    if content.cycle.cycle == 0:
        return None
    parent = LineageRecord.read(chain / cycle_folder(content.cycle.cycle - 1) / RECORD)
    if parent.provenance.run != content.provenance.run:
        raise LineageError(
            f"Another run has replaced the snapshots in '{chain}' while this one went on. Run this one again."
        )
    if parent.mode != mode:
        raise LineageError(
            f"lineage.mode is '{mode}', but the cycles in '{chain}' so far are '{parent.mode}': a chain has "
            f"one mode. Go on with lineage.mode={parent.mode}, or delete '{chain}' and run again."
        )
    return parent


def release_chains() -> None:
    """Let go of the chains of runs that were cut short in this process, so that another one may write them."""
    for chain in list(_HELD):
        _release(chain)


def _lock(chain: Path) -> None:
    chain.mkdir(parents=True, exist_ok=True)
    lock = _HELD.setdefault(chain, FileLock(chain / LOCK, thread_local=False))
    if lock.is_locked:
        return  # by an earlier cycle, or a run of this process that was cut short
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise LineageError(
            f"Another run is writing the snapshots in '{chain}' right now. Let it end, or give this one a "
            "lineage.root of its own."
        ) from error


def _release(chain: Path) -> None:
    lock = _HELD.pop(chain, None)
    if lock is not None:
        lock.release()
