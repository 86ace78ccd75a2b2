"""``cell_results``: one row for each cell and strategy that finished under this data root."""

from pathlib import Path
from typing import Any, NoReturn

import pandas as pd
from kedro.io import AbstractDataset, DatasetError

# Digests, and names of folders, may be all digits.
TEXT = dict.fromkeys(("setting", "configuration", "set_digest", "set_name", "product_class"), str)


class CellResultsDataset(AbstractDataset[NoReturn, pd.DataFrame]):
    """Every cell's summary table, laid under each other.

    Args:
        filepath: folder that holds one folder a cell.
        table: file name of the table inside each of them; Kedro would make a ``filename`` absolute.
    """

    def __init__(self, *, filepath: str, table: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self._table = table
        self.metadata = metadata

    def load(self) -> pd.DataFrame:
        """Return all rows; none where no cell has finished."""
        tables = [pd.read_csv(path, dtype=TEXT) for path in sorted(self._filepath.glob(f"*/{self._table}"))]
        return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()

    def save(self, data: NoReturn) -> NoReturn:
        """Refuse: each cell writes its own table."""
        raise DatasetError("cell_results is read from the cells' own tables; it is no node's output.")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath.as_posix(), "table": self._table}
