"""Is every snapshot whole: its record, its pointers, every object behind them, and the chain it stands in?"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from irp_kedro.errors import LineageError
from irp_kedro.lineage.contents import StoredImage
from irp_kedro.lineage.finding import Snapshot, snapshot_folders
from irp_kedro.lineage.pointer import file_md5, md5, read_pointer
from irp_kedro.lineage.rebuilding import read_contents, read_removals, rebuild
from irp_kedro.lineage.record import CONTENTS, IMAGES, RECORD, REMOVALS, LineageRecord
from irp_kedro.lineage.store import LineageStore


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What a check of snapshots found.

    Attributes:
        snapshots: how many were checked.
        images: how many different images they need.
        faults: one sentence each; empty if all is well.
        unfinished: chains whose run ended before its last cycle; what is there of them is whole.
    """

    snapshots: int
    images: int
    faults: tuple[str, ...]
    unfinished: tuple[str, ...]


class _Images:
    """Checks each different image once, however many snapshots hold it."""

    def __init__(self, observe: Callable[[], None]) -> None:
        self.checked: dict[tuple[str, Path], str] = {}
        self._observe = observe

    def faults(self, name: str, images: Iterable[StoredImage], store: LineageStore) -> Iterator[str]:
        for image in images:
            place = store.locate(image)
            if (image.digest, place) not in self.checked:
                self.checked[image.digest, place] = _image_fault(image, place)
                self._observe()
                if fault := self.checked[image.digest, place]:
                    yield f"{name}: {fault}"


def verify(
    root: Path,
    stores: Mapping[str, LineageStore],
    *,
    cell: str = "",
    observe: Callable[[], None] = lambda: None,
) -> Verification:
    """Check every snapshot below ``root``, and read every object behind them once.

    Args:
        root: ``lineage.root``.
        stores: by the mode of a record.
        cell: check this one only; empty: all.
        observe: called after each image read.
    """
    folders = [path for path in snapshot_folders(root) if not cell or path.parts[-3] == cell]
    chains: dict[Path, list[Path]] = {}
    for folder in folders:
        chains.setdefault(folder.parent, []).append(folder)
    images, faults, unfinished = _Images(observe), [], []
    for chain, cycles in chains.items():
        snapshots, unread = _read_records(cycles)
        faults += unread
        faults += _chain_faults(snapshots)
        for snapshot in snapshots:
            faults += _snapshot_faults(snapshot, stores[snapshot.record.mode])
        if snapshots:
            first = snapshots[0]
            faults += _content_faults(first, stores[first.record.mode], images)
        if snapshots and not snapshots[-1].record.is_last:
            unfinished.append("/".join(chain.parts[-2:]))
    return Verification(
        snapshots=len(folders),
        images=len({digest for digest, _ in images.checked}),
        faults=tuple(dict.fromkeys(faults)),
        unfinished=tuple(unfinished),
    )


def _read_records(folders: Sequence[Path]) -> tuple[list[Snapshot], list[str]]:
    snapshots, faults = [], []
    for folder in folders:
        try:
            snapshots.append(Snapshot(folder=folder, record=LineageRecord.read(folder / RECORD)))
        except LineageError as error:
            faults.append(str(error))
    return snapshots, faults


def _chain_faults(snapshots: Sequence[Snapshot]) -> Iterator[str]:
    """Yield where cycles are missing, or do not follow from each other."""
    for snapshot in snapshots:
        if snapshot.record.name != snapshot.name:
            yield f"{snapshot.name}: its record is that of {snapshot.record.name}"
        if snapshot.record.contents != snapshots[0].record.contents:
            yield f"{snapshot.name}: it was made from other images than {snapshots[0].name}"
    if snapshots and snapshots[0].record.cycle != 0:
        yield f"{snapshots[0].name}: cycle 0, the set before, is missing"
    elif snapshots and (snapshots[0].record.parent or snapshots[0].record.parent_tree):
        yield f"{snapshots[0].name}: cycle 0 has no parent, but its record names one"
    for before, after in pairwise(snapshots):
        first, second = before.record, after.record
        if second.cycle != first.cycle + 1:
            yield f"{after.name}: the cycle before it is missing"
        elif (second.parent, second.parent_tree, second.provenance.run) != (
            first.name,
            first.tree,
            first.provenance.run,
        ):
            yield f"{after.name}: it does not follow from {before.name}"
        elif second.images != first.images - second.removed + second.restored:
            yield (
                f"{after.name}: {first.images} images, less {second.removed} removed, plus {second.restored} "
                f"restored, are not {second.images}"
            )
        if first.is_last:
            yield f"{after.name}: it comes after the last cycle"


def _snapshot_faults(snapshot: Snapshot, store: LineageStore) -> Iterator[str]:
    """Yield what is wrong with pointers and small objects, and with the set that follows from them."""
    record = snapshot.record
    files = {REMOVALS: record.removals} | ({CONTENTS: record.contents} if record.cycle == 0 else {})
    for name, digest in files.items():
        try:
            content = store.read_file(snapshot.folder, name)
        except LineageError as error:
            yield f"{snapshot.name}: {error}"
            continue
        if md5(content) != digest:
            yield f"{snapshot.name}: '{name}' is {md5(content)}, the record says {digest}"
    if record.mode == "dvc" and record.has_tree:
        try:
            pointer = read_pointer(snapshot.folder, IMAGES)
        except LineageError as error:
            yield f"{snapshot.name}: {error}"
        else:
            if pointer != record.tree:
                yield f"{snapshot.name}: '{IMAGES}.dvc' points at {pointer}, the record says {record.tree}"
    try:
        rows = read_removals(snapshot.folder, store)
        rebuilt = rebuild(snapshot, store)
    except LineageError as error:
        yield f"{snapshot.name}: {error}"
        return
    actions = list(rows["action"])
    size = sum(image.size for image in rebuilt)
    found = (actions.count("removed"), actions.count("restored"), len(rebuilt), size)
    if found != (record.removed, record.restored, record.images, record.size):
        yield f"{snapshot.name}: its record and its objects do not count the same images"


def _content_faults(first: Snapshot, store: LineageStore, images: _Images) -> Iterator[str]:
    try:
        contents = read_contents(first.folder.parent, store)
    except LineageError:
        return  # named already, as a fault of cycle 0
    yield from images.faults(first.name, contents, store)


def _image_fault(image: StoredImage, place: Path) -> str:
    try:
        found = file_md5(place)
    except OSError as error:
        return f"image {image.name} ({image.original}) is missing: {error.strerror}, '{place}'"
    return "" if found == image.digest else f"image {image.name} ({image.original}) is damaged: '{place}'"
