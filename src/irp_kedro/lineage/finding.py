"""Find snapshots: all below a root, one by its name, one by the model that was trained on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from irp_kedro.errors import LineageError, nearest
from irp_kedro.lineage.record import RECORD, LineageRecord, cycle_folders


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A snapshot on disk.

    Attributes:
        folder: with its record and pointers.
        record: what is written down about it.
    """

    folder: Path
    record: LineageRecord

    @property
    def name(self) -> str:
        """``cell/strategy/cycle_NNN``, from where it lies."""
        return "/".join(self.folder.parts[-3:])

    @property
    def cell(self) -> str:
        """Name of the experiment."""
        return self.folder.parts[-3]

    @property
    def strategy(self) -> str:
        """Name of the strategy."""
        return self.folder.parts[-2]


def snapshot_folders(root: Path) -> list[Path]:
    """Return the folder of every snapshot below ``root``, by cell, strategy and cycle."""
    return [folder for chain in sorted(root.glob("*/*")) for folder in cycle_folders(chain)]


def find_snapshots(root: Path) -> list[Snapshot]:
    """Return every snapshot below ``root``, by cell, strategy and cycle.

    Raises:
        LineageError: a record is missing or unreadable.
    """
    return [Snapshot(folder=path, record=LineageRecord.read(path / RECORD)) for path in snapshot_folders(root)]


def find_cell(snapshots: Sequence[Snapshot], name: str) -> str:
    """Return the full name of a cell given in full, by its beginning, or by its last eight digits.

    Raises:
        LineageError: none or several fit.
    """
    cells = sorted({snapshot.cell for snapshot in snapshots})
    if name in cells:
        return name
    fitting = [cell for cell in cells if name and (cell.startswith(name) or cell.endswith(f"-{name}"))]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise LineageError(f"'{name}' fits {len(fitting)} cells: {', '.join(fitting)}. Give more of the name.")
    if not cells:
        raise LineageError("There is no snapshot yet. Make some: kedro run")
    raise LineageError(f"No snapshots of a cell '{name}'; {nearest(name, cells)}")


def find_snapshot(snapshots: Sequence[Snapshot], name: str, *, default_cell: str = "") -> Snapshot:
    """Return one snapshot by its name, ``[cell/]strategy/cycle``.

    Args:
        snapshots: to search.
        name: the cycle is a number, ``cycle_NNN`` or ``last``.
        default_cell: where the name has no cell.

    Raises:
        LineageError: the name has another form, or nothing fits it.
    """
    parts = name.strip("/").split("/")
    if len(parts) not in {2, 3}:
        raise LineageError(
            f"'{name}' names no snapshot; write [CELL/]STRATEGY/CYCLE, such as iterative_refinement/2 or "
            "iterative_refinement/last"
        )
    cell = find_cell(snapshots, parts[0] if len(parts) == 3 else default_cell)
    of_cell = [snapshot for snapshot in snapshots if snapshot.cell == cell]
    chain = [snapshot for snapshot in of_cell if snapshot.strategy == parts[-2]]
    if not chain:
        strategies = {snapshot.strategy for snapshot in of_cell}
        raise LineageError(f"{cell} has no snapshots of '{parts[-2]}'; {nearest(parts[-2], strategies)}")
    if parts[-1] == "last":
        return chain[-1]
    number = parts[-1].removeprefix("cycle_")
    found = [snapshot for snapshot in chain if str(snapshot.record.cycle) == (number.lstrip("0") or "0")]
    if not found:
        first, last = chain[0].record.cycle, chain[-1].record.cycle
        raise LineageError(f"{cell}/{parts[-2]} has no cycle '{parts[-1]}'; it has {first} to {last}.")
    return found[0]


def find_by_model(snapshots: Sequence[Snapshot], digest: str) -> list[Snapshot]:
    """Return the snapshots on which a detector with these weights was trained.

    There may be several: what is trained on equal images in equal ways has equal weights.
    """
    return [snapshot for snapshot in snapshots if snapshot.record.model == digest]
