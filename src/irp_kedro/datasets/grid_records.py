"""What a grid leaves beside the files of its cells: which cells it has, and a record of each that has ended.

Below ``data_root/grid``: ``<grid>.json`` lists the cells of a grid; ``cells/<digest>.json`` says how a cell
ended and is written last of all its files, so that a cell is finished only when its record says so. Cells are
known by the digest of their parameters: two grids that ask for the same cell share it.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn

import pandas as pd
from kedro.io import AbstractDataset, DatasetError
from pydantic import BaseModel, ConfigDict, ValidationError

from irp_kedro.datasets.cell_results import TEXT
from irp_kedro.writing import write_json

SUMMARY = "summary.csv"


class CellRecord(BaseModel):
    """How a cell ended.

    Attributes:
        digest: of every parameter that can change its result.
        cell: folder of its files.
        status: ``done`` or ``failed``.
        attempts: how often this grid tried, the last time included.
        seconds: of the last attempt.
        finished: when, ISO 8601, UTC.
        code: digest of the package's source.
        worker: process that ran it.
        error: of a failed cell, in a line or two; the log beside the record has all of it.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    digest: str
    cell: str
    status: Literal["done", "failed"]
    attempts: int = 1
    seconds: float = 0.0
    finished: str = ""
    code: str = ""
    worker: str = ""
    error: str = ""


class ListedCell(BaseModel):
    """A cell as its grid's list names it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    digest: str
    cell: str
    set: str
    variant: str


class GridFolder:
    """The records below one ``data_root``.

    Args:
        data_root: as of the parameters.
    """

    def __init__(self, data_root: Path) -> None:
        self._grids = data_root / "grid"
        self._results = data_root / "08_reporting"

    def record_path(self, digest: str) -> Path:
        """Return where the record of a cell lies."""
        return self._grids / "cells" / f"{digest}.json"

    def log_path(self, digest: str) -> Path:
        """Return where what a cell printed lies."""
        return self._grids / "cells" / f"{digest}.log"

    def lock_path(self, digest: str) -> Path:
        """Return the lock that whoever runs a cell holds."""
        return self._grids / "cells" / f".{digest}.lock"

    def summary_path(self, cell: str) -> Path:
        """Return where a cell's own table lies."""
        return self._results / cell / SUMMARY

    def read(self, digest: str) -> CellRecord | None:
        """Return the record of a cell, if it has one; one that cannot be read counts as none."""
        try:
            record = CellRecord.model_validate_json(self.record_path(digest).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None
        gone = record.status == "done" and not self.summary_path(record.cell).is_file()
        return None if gone else record

    def is_done(self, digest: str) -> bool:
        """Return whether a cell has finished and its results are still there."""
        record = self.read(digest)
        return record is not None and record.status == "done"

    def write(self, record: CellRecord) -> None:
        """Keep a record, in one step."""
        write_json(self.record_path(record.digest), record.model_dump())

    def list_cells(self, grid: str) -> list[ListedCell]:
        """Return the cells of a grid that was run here, in order.

        Raises:
            DatasetError: no grid of that name was.
        """
        path = self._grids / f"{grid}.json"
        if not path.is_file():
            raise DatasetError(f"No grid at '{path}'. Run one: kedro irp grid --grid conf/base/grid_sample.yml")
        return [
            ListedCell.model_validate(cell) for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
        ]

    def write_list(self, grid: str, note: str, cells: Sequence[ListedCell]) -> None:
        """Keep which cells a grid has."""
        content = {"name": grid, "note": note, "cells": [cell.model_dump() for cell in cells]}
        write_json(self._grids / f"{grid}.json", content)

    def read_note(self, grid: str) -> str:
        """Return what readers of a grid's tables must know."""
        return str(json.loads((self._grids / f"{grid}.json").read_text(encoding="utf-8"))["note"])


class GridCellsDataset(AbstractDataset[NoReturn, pd.DataFrame]):
    """The finished cells of a grid: one row a cell and strategy.

    Args:
        filepath: the grid's list of cells, ``<data_root>/grid/<grid>.json``.

    Example of use in the catalog::

        grid_cells:
          type: irp_kedro.datasets.grid_records.GridCellsDataset
          filepath: data/grid/sample.json
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> pd.DataFrame:
        """Return the cells' own tables under each other, grid, set, variant and ``cell_seconds`` first.

        Raises:
            DatasetError: there is no such grid, or none of its cells has finished.
        """
        folder, grid = GridFolder(self._filepath.parents[1]), self._filepath.stem
        tables = []
        for cell in folder.list_cells(grid):
            record = folder.read(cell.digest)
            if record is not None and record.status == "done":
                table = pd.read_csv(folder.summary_path(record.cell), dtype=TEXT)
                told: dict[str, Any] = {
                    "grid": grid,
                    "set": cell.set,
                    "variant": cell.variant,
                    "cell_seconds": record.seconds,
                }
                for place, (name, value) in enumerate(told.items()):
                    table.insert(place, name, value)
                tables.append(table)
        if not tables:
            raise DatasetError(f"No cell of grid '{grid}' has finished. Its errors: kedro irp grid")
        found = pd.concat(tables, ignore_index=True)
        found.attrs["note"] = folder.read_note(grid)
        return found

    def save(self, data: NoReturn) -> NoReturn:
        """Refuse: cells are recorded one by one, as they end."""
        raise DatasetError("grid_cells is read from the cells' own tables; it is no node's output.")

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath.as_posix()}
