"""``snapshots``: every cycle of a refinement, each written whole or not at all.

The refinement node yields one cycle at a time and this dataset owns all that a cycle writes, so that a kill
leaves whole cycles only. ``cycle_000`` is the set before; saving it clears the cycles of an earlier run.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError

from irp_kedro.core.refinement import RefinementCycle
from irp_kedro.core.removal import Decision
from irp_kedro.datasets.model import read_model, write_model
from irp_kedro.datasets.writing import folder_aside, remove_folder, write_json
from irp_kedro.strategies import CycleResult


class SnapshotsDataset(AbstractDataset[CycleResult, list[CycleResult]]):
    """A folder with one folder a cycle: ``cycle.json``, and ``model.safetensors`` in the last.

    Args:
        filepath: the folder.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def save(self, data: CycleResult) -> None:
        """Write one cycle aside, then rename it into place."""
        if data.record.cycle == 0:
            remove_folder(self._filepath)
        with folder_aside(self._filepath / f"cycle_{data.record.cycle:03d}") as folder:
            write_json(folder / "cycle.json", {"seconds": data.seconds, "record": asdict(data.record)})
            if data.model is not None:
                write_model(folder / "model.safetensors", data.model)

    def load(self) -> list[CycleResult]:
        """Return every cycle in order; the last one carries the model."""
        cycles = [_read_cycle(folder) for folder in self._folders()]
        if not cycles or not cycles[-1].record.is_last:
            raise DatasetError(
                f"No finished refinement at '{self._filepath}'. Run: kedro run --pipelines refinement"
            )
        return cycles

    def _folders(self) -> list[Path]:
        # By number: as text, cycle_1000 would come before cycle_999.
        return sorted(self._filepath.glob("cycle_*"), key=lambda folder: int(folder.name.split("_")[1]))

    def _exists(self) -> bool:
        # Only a cycle that carries the reason why the loop ended makes the run complete.
        folders = self._folders()
        return bool(folders) and _read_record(folders[-1])["record"]["stop"] != ""

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath.as_posix()}


def _read_record(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "cycle.json").read_text(encoding="utf-8"))
    return content


def _read_cycle(folder: Path) -> CycleResult:
    content = _read_record(folder)
    record = content["record"]
    record["kept"] = tuple(record["kept"])
    record["losses"] = tuple(record["losses"])
    record["decisions"] = tuple(Decision(**decision) for decision in record["decisions"])
    model = folder / "model.safetensors"
    return CycleResult(
        record=RefinementCycle(**record),
        seconds=content["seconds"],
        model=read_model(model) if model.is_file() else None,
    )
