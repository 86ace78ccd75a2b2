"""``feature_store``, shared by all cells, and ``feature_bank``, one cell's share of it."""

import json
from pathlib import Path
from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError

from irp_kedro.features.bank import FeatureBank, FeatureStore
from irp_kedro.writing import write_json


class FeatureStoreDataset(AbstractDataset[NoReturn, FeatureStore]):
    """The folder that holds every extracted feature; no node produces it, so it survives all of them.

    Args:
        filepath: the folder; it need not exist yet.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> FeatureStore:
        """Return the store."""
        return FeatureStore(self._filepath)

    def save(self, data: NoReturn) -> NoReturn:
        """Refuse: features are written through the store itself, shard by shard."""
        raise DatasetError("feature_store is written by extraction, shard by shard; it is no node's output.")

    def _exists(self) -> bool:
        return True

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath.as_posix()}


class FeatureBankDataset(AbstractDataset[FeatureBank, FeatureBank]):
    """A bank as one JSON file: store, recipe and image digests.

    Args:
        filepath: the JSON file.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> FeatureBank:
        """Return the bank; its features stay on disk until they are read."""
        if not self._filepath.is_file():
            raise DatasetError(f"No feature bank at '{self._filepath}'. Run: kedro run --pipelines features")
        bank = json.loads(self._filepath.read_text(encoding="utf-8"))
        return FeatureBank(
            store=Path(bank["store"]),
            recipe=bank["recipe"],
            digests=tuple(bank["digests"]),
            finer=bank.get("finer", ""),
            coloured=bank.get("coloured", ""),
        )

    def save(self, data: FeatureBank) -> None:
        """Write which features belong to the bank."""
        content = {
            "digest": data.digest,
            "store": data.store.as_posix(),
            "recipe": data.recipe,
            "finer": data.finer,
            "coloured": data.coloured,
            "digests": list(data.digests),
        }
        write_json(self._filepath, content)

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath.as_posix()}
