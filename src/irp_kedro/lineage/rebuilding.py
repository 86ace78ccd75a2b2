"""The exact set of a snapshot: from its own directory object, or from an earlier one and the removals since."""

import io
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from irp_kedro.core.records import LOG_COLUMNS
from irp_kedro.errors import LineageError
from irp_kedro.lineage.contents import StoredImage, from_csv
from irp_kedro.lineage.finding import Snapshot
from irp_kedro.lineage.record import CONTENTS, RECORD, REMOVALS, LineageRecord, cycle_folder
from irp_kedro.lineage.store import LineageStore
from irp_kedro.lineage.tree import tree_of


def read_contents(chain: Path, store: LineageStore) -> list[StoredImage]:
    """Return every image of cycle 0 of a chain of snapshots, in its order.

    Raises:
        LineageError: the list is missing or damaged.
    """
    folder = chain / cycle_folder(0)
    content = store.read_file(folder, CONTENTS)
    try:
        return from_csv(content)
    except (ValueError, KeyError) as error:
        raise LineageError(f"'{folder / CONTENTS}' is no list of images: {error}") from error


def read_removals(folder: Path, store: LineageStore) -> pd.DataFrame:
    """Return the rows of the removal log that belong to the snapshot in ``folder``.

    Raises:
        LineageError: they are missing or damaged.
    """
    content = store.read_file(folder, REMOVALS)
    text = {"image_id": str, "digest": str, "path": str, "judge": str}
    try:
        table = pd.read_csv(io.BytesIO(content), dtype=text, keep_default_na=False)
        return table.loc[:, list(LOG_COLUMNS)]
    except (ValueError, KeyError) as error:
        raise LineageError(f"'{folder / REMOVALS}' is no removal log: {error}") from error


def rebuild(snapshot: Snapshot, store: LineageStore) -> list[StoredImage]:
    """Return the images of a snapshot, in the order of cycle 0.

    Raises:
        LineageError: an object is missing, or what comes out does not have the hash that was recorded.
    """
    images = read_contents(snapshot.folder.parent, store)
    names = set(_names(snapshot, images, store))
    kept = [image for image in images if image.name in names]
    found = tree_of({image.name: image.digest for image in kept}).oid
    if found != snapshot.record.tree or len(kept) != len(names):
        raise LineageError(
            f"The set of {snapshot.name} comes out as {found}, but {snapshot.record.tree} was recorded: its "
            "objects and its record do not belong together. kedro irp verify names what is wrong."
        )
    return kept


def _names(snapshot: Snapshot, images: Sequence[StoredImage], store: LineageStore) -> list[str]:
    """Return the file names in the set, walking back to the nearest directory object."""
    if snapshot.record.has_tree:
        return list(store.read_tree(snapshot.folder))
    chain, cycle = snapshot.folder.parent, snapshot.record.cycle
    name_of = {image.image_id: image.name for image in images}
    later: list[tuple[Path, pd.DataFrame]] = []
    record = snapshot.record
    while not record.has_tree:
        folder = chain / cycle_folder(cycle)
        later.append((folder, read_removals(folder, store)))
        cycle -= 1
        record = LineageRecord.read(chain / cycle_folder(cycle) / RECORD)
    names = dict.fromkeys(store.read_tree(chain / cycle_folder(cycle)))
    for folder, rows in reversed(later):
        if unknown := sorted(set(rows["image_id"]) - set(name_of)):
            raise LineageError(
                f"'{folder / REMOVALS}' names {unknown[0]}, which no image of cycle 0 is called."
            )
        for action, image_id in zip(rows["action"], rows["image_id"], strict=True):
            if action == "restored":
                names[name_of[image_id]] = None
            elif action == "removed":
                names.pop(name_of[image_id], None)
    return list(names)
