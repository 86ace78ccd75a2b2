"""What two snapshots do not have in common."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

from irp_kedro.lineage.contents import StoredImage
from irp_kedro.lineage.finding import Snapshot
from irp_kedro.lineage.rebuilding import read_removals, rebuild
from irp_kedro.lineage.store import LineageStore


@dataclass(frozen=True, kw_only=True)
class SnapshotDiff:
    """The way from one set to another.

    Attributes:
        before: name of the first snapshot.
        after: name of the second.
        removed: images only in the first, in the order in which they left.
        restored: images only in the second.
        common: number of images in both.
        decisions: cycle and score of each removed image, by image id, where one chain leads to the other.
    """

    before: str
    after: str
    removed: Sequence[StoredImage]
    restored: Sequence[StoredImage]
    common: int
    decisions: Mapping[str, Mapping[str, Any]]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for machines."""
        return {
            "before": self.before,
            "after": self.after,
            "common": self.common,
            "removed": [
                {**asdict(image), "decision": self.decisions.get(image.image_id)} for image in self.removed
            ],
            "restored": [asdict(image) for image in self.restored],
        }


def diff(
    before: Snapshot,
    after: Snapshot,
    snapshots: Sequence[Snapshot],
    stores: Mapping[str, LineageStore],
) -> SnapshotDiff:
    """Return which images are only in one of two snapshots; sets of different cells compare by image bytes.

    Args:
        before: the first.
        after: the second.
        snapshots: all there are, to tell in which cycle an image left.
        stores: by the mode of a record.

    Raises:
        LineageError: an object is missing or damaged.
    """
    first = {(image.digest, image.name): image for image in rebuild(before, stores[before.record.mode])}
    second = {(image.digest, image.name): image for image in rebuild(after, stores[after.record.mode])}
    decisions = _decisions(after, snapshots, stores)
    place = {image_id: number for number, image_id in enumerate(decisions)}
    gone = [image for key, image in first.items() if key not in second]
    return SnapshotDiff(
        before=before.name,
        after=after.name,
        removed=sorted(gone, key=lambda image: place.get(image.image_id, -1)),
        restored=[image for key, image in second.items() if key not in first],
        common=len(first.keys() & second.keys()),
        decisions=decisions,
    )


def _decisions(
    after: Snapshot, snapshots: Sequence[Snapshot], stores: Mapping[str, LineageStore]
) -> dict[str, dict[str, Any]]:
    chain = [
        snapshot
        for snapshot in snapshots
        if snapshot.folder.parent == after.folder.parent and snapshot.record.cycle <= after.record.cycle
    ]
    tables = [read_removals(snapshot.folder, stores[snapshot.record.mode]) for snapshot in chain]
    rows = pd.concat(tables) if tables else pd.DataFrame(columns=["action", "image_id"])
    rows = rows[rows["action"] == "removed"].drop_duplicates("image_id", keep="last").set_index("image_id")
    return {
        str(image_id): {"cycle": int(cycle), "score": _number(score), "threshold": _number(threshold)}
        for image_id, cycle, score, threshold in zip(
            rows.index, rows["cycle"], rows["score"], rows["threshold"], strict=True
        )
    }


def _number(text: Any) -> float | None:  # noqa: ANN401 - a cell of a table
    """Return a number of the removal log; none where a person's review decided and nothing was scored."""
    return None if text == "" else float(text)
