"""``cell_results``: one row for each cell and strategy that finished under this data root."""

from pathlib import Path
from typing import Any, NoReturn

import pandas as pd
from kedro.io import AbstractDataset, DatasetError

# Digests, and names of folders, may be all digits.
TEXT = dict.fromkeys(("setting", "configuration", "set_digest", "set_name", "product_class"), str)


class CellResultsDataset(AbstractDataset[NoReturn, pd.DataFrame]):
    """Every cell's summary table, laid under each other.

    Where one experiment lies in two folders, called otherwise by an earlier version or by the parameter
    ``cell``, the newest counts: twice the same seed is no spread over seeds.

    Args:
        filepath: folder that holds one folder a cell.
        table: file name of the table inside each of them; Kedro would make a ``filename`` absolute.
    """

    def __init__(self, *, filepath: str, table: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self._table = table
        self.metadata = metadata

    def load(self) -> pd.DataFrame:
        """Return all rows, by the names of their folders; none where no cell has finished."""
        newest: dict[object, tuple[Path, pd.DataFrame]] = {}
        paths = sorted(self._filepath.glob(f"*/{self._table}"))
        for path in sorted(paths, key=lambda path: path.stat().st_mtime_ns):
            table = pd.read_csv(path, dtype=TEXT)
            newest[_experiment(table) or path] = path, table
        tables = [table for _, table in sorted(newest.values(), key=lambda found: found[0])]
        return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()

    def save(self, data: NoReturn) -> NoReturn:
        """Refuse: each cell writes its own table."""
        raise DatasetError("cell_results is read from the cells' own tables; it is no node's output.")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath.as_posix(), "table": self._table}


def _experiment(table: pd.DataFrame) -> tuple[object, ...] | None:
    """Return what tells experiments apart; nothing where an earlier version did not say."""
    if not {"setting", "seed"} <= set(table) or table.empty:
        return None
    return tuple(table[["setting", "seed"]].iloc[0])
