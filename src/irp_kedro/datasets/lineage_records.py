"""``lineage``: the records of a strategy's snapshots as a table; they are written with the snapshots."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

import pandas as pd
from kedro.io import AbstractDataset, DatasetError

from irp_kedro.lineage.record import RECORD, LineageRecord, cycle_folders

COLUMNS = ("cycle", "images", "removed", "restored", "tree", "parent", "model", "mode", "stop", "time")


class LineageRecordsDataset(AbstractDataset[NoReturn, pd.DataFrame]):
    """One row a cycle: its set, what left, its parent, and, repeated in each row, where all of it comes from.

    Args:
        filepath: folder of the strategy's cycles, as of ``snapshots``.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> pd.DataFrame:
        """Return the records in order of their cycles."""
        files = [folder / RECORD for folder in cycle_folders(self._filepath)]
        records = [LineageRecord.read(file) for file in files if file.is_file()]
        if not records:
            raise DatasetError(f"No snapshots at '{self._filepath}'. Run: kedro run --pipelines refinement")
        return pd.DataFrame(
            [
                {**{column: getattr(record, column) for column in COLUMNS}, **asdict(record.provenance)}
                for record in records
            ]
        )

    def save(self, data: NoReturn) -> NoReturn:
        """Refuse: records are written with the snapshots they belong to."""
        raise DatasetError("lineage is written by snapshots, cycle by cycle; it is no node's output.")

    def _exists(self) -> bool:
        return any((folder / RECORD).is_file() for folder in cycle_folders(self._filepath))

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath.as_posix()}
