from pathlib import Path

import pytest

from irp_kedro.features.bank import FeatureStore


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return FeatureStore(tmp_path / "store")
