"""``raw_folder``: where sources download to and the sample is generated."""

from pathlib import Path
from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError


class RawFolderDataset(AbstractDataset[NoReturn, Path]):
    """A folder that sources fill; no node produces it, so it survives every run.

    Args:
        filepath: the folder; it need not exist yet.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> Path:
        """Return the folder."""
        return self._filepath

    def save(self, data: NoReturn) -> NoReturn:
        """Refuse: sources write into the folder themselves."""
        raise DatasetError("raw_folder is filled by the sources; it is no node's output.")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath.as_posix()}
