"""``snapshots``: every cycle of a refinement, versioned by DVC, each written whole or not at all.

The refinement node yields one cycle at a time and this dataset owns all that a cycle writes: scores and model
below ``data_root``, then the set, its removals and its record below ``lineage.root``, in one rename, then a
copy of that record below ``data_root``: a cycle is there only when it has one. Saving ``cycle_000``, the set
before, clears the cycles of an earlier run.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from kedro.io import AbstractDataset, DatasetError
from safetensors.torch import save_file

from irp_kedro.core.refinement import RefinementCycle
from irp_kedro.core.removal import Decision
from irp_kedro.datasets.model import read_model, write_model
from irp_kedro.lineage.contents import StoredImage
from irp_kedro.lineage.record import RECORD, Provenance, cycle_folder, cycle_folders, cycle_number
from irp_kedro.lineage.saving import SnapshotContent, claim_chain, save_snapshot
from irp_kedro.lineage.store import LineageStore, StoreSettings, open_store
from irp_kedro.lineage.weights import weights_digest
from irp_kedro.strategies import CycleResult
from irp_kedro.writing import folder_aside, remove_folder, write_json

CHECKPOINT = "checkpoint.safetensors"


@dataclass(frozen=True, kw_only=True)
class CycleSnapshot:
    """A cycle with everything that its snapshot needs.

    Attributes:
        strategy: whose loop this is.
        result: what the loop did, and the model on the last cycle.
        removals: this cycle's rows of the removal log, paths joined.
        images: every image of cycle 0.
        provenance: where all of it comes from.
    """

    strategy: str
    result: CycleResult
    removals: pd.DataFrame
    images: Sequence[StoredImage]
    provenance: Provenance


class DVCSnapshotDataset(AbstractDataset[CycleSnapshot, list[CycleResult]]):
    """The cycles of one strategy.

    Args:
        filepath: folder with one folder a cycle: ``cycle.json``, and ``model.safetensors`` in the last.
        lineage: ``path``: folder for pointers and records, one folder a cycle, ``lineage.root/cell/strategy``;
            and, as in the parameters of that group, ``mode``, ``link`` and ``tree_every``.

    Example of use in the catalog::

        "{strategy}.snapshots":
          type: irp_kedro.datasets.dvc_snapshot.DVCSnapshotDataset
          filepath: data/05_model_input/cell/{strategy}/snapshots
          lineage: {path: "data/lineage/cell/{strategy}", mode: dvc, link: copy, tree_every: 1}
    """

    def __init__(
        self, *, filepath: str, lineage: Mapping[str, Any], metadata: dict[str, Any] | None = None
    ) -> None:
        self._filepath = Path(filepath)
        self._chain = Path(lineage["path"])
        self._store = StoreSettings(mode=lineage.get("mode", "dvc"), link=lineage.get("link", "copy"))
        self._tree_every = int(lineage.get("tree_every", 1))
        self.metadata = metadata

    def save(self, data: CycleSnapshot) -> None:
        """Keep one cycle.

        Raises:
            LineageError: there is no DVC repository, an image has changed, or another run writes this cell.
        """
        store = self.open_store()
        record = data.result.record
        # First of all, so that a run that is refused leaves what an earlier one made.
        claim_chain(self._chain, record.cycle, data.images, store)
        self._clear(record.cycle)
        home = self._filepath / cycle_folder(record.cycle)
        with folder_aside(home) as folder:
            write_json(folder / "cycle.json", {"seconds": data.result.seconds, "record": asdict(record)})
            if data.result.model is not None:
                write_model(folder / "model.safetensors", data.result.model)
            if data.result.state is not None:
                save_file(dict(data.result.state), folder / CHECKPOINT)
        content = SnapshotContent(
            strategy=data.strategy,
            cycle=record,
            removals=data.removals,
            images=data.images,
            model=weights_digest(home / "model.safetensors") if data.result.model is not None else "",
            provenance=data.provenance,
        )
        kept = save_snapshot(self._chain, content, store, mode=self._store.mode, tree_every=self._tree_every)
        # Written last: from here on the cycle is there, also where `cell` gives several experiments one folder.
        write_json(home / RECORD, kept.as_dict())
        if data.result.state is not None or record.is_last:
            for earlier in self._filepath.glob(f"cycle_*/{CHECKPOINT}"):
                if earlier.parent != home:
                    earlier.unlink()

    def open_store(self) -> LineageStore:
        """Return where the objects of snapshots go.

        Raises:
            LineageError: DVC is asked for, and there is no DVC repository, or git ignores the pointers.
        """
        return open_store(self._chain.parent.parent, self._store)

    def load(self) -> list[CycleResult]:
        """Return every cycle in order; the last one carries the model."""
        cycles = [read_cycle(folder) for folder in self._folders()]
        if not cycles or not cycles[-1].record.is_last:
            raise DatasetError(
                f"No finished refinement at '{self._filepath}'. Run: kedro run --pipelines refinement"
            )
        return cycles

    def _clear(self, first: int) -> None:
        """Remove the cycles of an earlier or interrupted run from ``first`` on."""
        if first == 0:
            remove_folder(self._filepath)
        old = [folder for folder in cycle_folders(self._filepath) if cycle_number(folder) >= first]
        for folder in reversed(old):
            remove_folder(folder)

    def _folders(self) -> list[Path]:
        return [folder for folder in cycle_folders(self._filepath) if (folder / RECORD).is_file()]

    def _exists(self) -> bool:
        # Only a cycle that carries the reason why the loop ended makes the run complete.
        folders = [folder for folder in self._folders() if is_of_chain(folder, self._chain)]
        return bool(folders) and _read_record(folders[-1])["record"]["stop"] != ""

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath.as_posix(), "lineage": self._chain.as_posix(), **asdict(self._store)}


def is_of_chain(folder: Path, chain: Path) -> bool:
    """Return whether a cycle below ``data_root`` is the one in ``chain``, not another run's or experiment's."""
    mine, theirs = folder / RECORD, chain / folder.name / RECORD
    return mine.is_file() and theirs.is_file() and mine.read_bytes() == theirs.read_bytes()


def _read_record(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "cycle.json").read_text(encoding="utf-8"))
    return content


def read_cycle(folder: Path) -> CycleResult:
    """Return a cycle as it was saved; the last one with its model, none with a state."""
    content = _read_record(folder)
    record = content["record"]
    for name in ("kept", "losses", "doubtful", "variants"):
        record[name] = tuple(record.get(name, ()))  # records of earlier versions know neither
    record["decisions"] = tuple(Decision(**decision) for decision in record["decisions"])
    model = folder / "model.safetensors"
    return CycleResult(
        record=RefinementCycle(**record),
        seconds=content["seconds"],
        model=read_model(model) if model.is_file() else None,
    )
