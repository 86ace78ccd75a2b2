"""``checkpoints``: where an interrupted refinement can go on. No node produces it; ``snapshots`` writes it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError
from safetensors.torch import load_file

from irp_kedro.datasets.dvc_snapshot import CHECKPOINT, is_of_chain, read_cycle
from irp_kedro.lineage.record import RECORD, LineageRecord, Provenance, cycle_folders
from irp_kedro.strategies import ResumePoint


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """An interrupted run, as far as it can be taken up again.

    Attributes:
        point: its cycles and the detector's state.
        provenance: of that run.
    """

    point: ResumePoint
    provenance: Provenance


class RefinementCheckpointsDataset(AbstractDataset[NoReturn, list[Checkpoint]]):
    """The newest checkpoint of a strategy, if its run was interrupted; an empty list otherwise.

    Args:
        filepath: folder of the strategy's cycles, as of ``snapshots``.
        lineage: as of ``snapshots``; only ``path`` is read.
    """

    def __init__(
        self, *, filepath: str, lineage: Mapping[str, Any], metadata: dict[str, Any] | None = None
    ) -> None:
        self._filepath = Path(filepath)
        self._chain = Path(lineage["path"])
        self.metadata = metadata

    def load(self) -> list[Checkpoint]:
        """Return the cycles up to the newest checkpoint; none where the run ended or cycles are missing."""
        folders = [path for path in cycle_folders(self._filepath) if is_of_chain(path, self._chain)]
        kept = [number for number, folder in enumerate(folders) if (folder / CHECKPOINT).is_file()]
        if not kept:
            return []
        past = tuple(read_cycle(folder).record for folder in folders[: kept[-1] + 1])
        records = [LineageRecord.read(self._chain / folder.name / RECORD) for folder in folders]
        whole = [record.cycle for record in past] == list(range(len(past)))
        one_run = len({record.provenance.run for record in records}) == 1
        if not (whole and one_run) or records[-1].is_last:
            return []
        # Copied, as a model is: tensors in the mapped file are aligned otherwise.
        state = {key: value.clone() for key, value in load_file(folders[kept[-1]] / CHECKPOINT).items()}
        return [Checkpoint(point=ResumePoint(past=past, state=state), provenance=records[0].provenance)]

    def save(self, data: NoReturn) -> NoReturn:
        """Refuse: checkpoints are written with the cycles they belong to."""
        raise DatasetError(
            "checkpoints are written by snapshots, with their cycles; they are no node's output."
        )

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath.as_posix(), "lineage": self._chain.as_posix()}
