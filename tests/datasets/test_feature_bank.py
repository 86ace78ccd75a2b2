import json
from pathlib import Path

import numpy as np
import pytest
from kedro.io import DatasetError

from irp_kedro.datasets.feature_bank import FeatureBankDataset, FeatureStoreDataset
from irp_kedro.features.bank import ExtractionRecipe, FeatureBank, FeatureStore

RECIPE = ExtractionRecipe(
    backbone="tiny", weights="0" * 16, crop="none", size=32, angles=(0.0,), scales=(1.0,), precision="float32"
)


@pytest.fixture
def dataset(tmp_path: Path) -> FeatureBankDataset:
    return FeatureBankDataset(filepath=(tmp_path / "cell" / "feature_bank.json").as_posix())


@pytest.fixture
def bank(tmp_path: Path) -> FeatureBank:
    store = FeatureStore(tmp_path / "店" / "store")
    store.write_shard(RECIPE, ["aa", "bb"], np.arange(4, dtype=np.float16).reshape(2, 1, 2))
    return store.open(RECIPE, ["bb", "aa"])


def test_a_saved_bank_comes_back_with_its_features(dataset: FeatureBankDataset, bank: FeatureBank) -> None:
    dataset.save(bank)
    loaded = dataset.load()
    assert loaded == bank
    assert loaded.digest == bank.digest
    assert loaded.read(["bb"]).tolist() == [[[2.0, 3.0]]]


def test_the_file_holds_nothing_that_differs_from_run_to_run(
    dataset: FeatureBankDataset, bank: FeatureBank, tmp_path: Path
) -> None:
    dataset.save(bank)
    content = json.loads((tmp_path / "cell" / "feature_bank.json").read_text(encoding="utf-8"))
    assert content == {
        "digest": bank.digest,
        "store": bank.store.as_posix(),
        "recipe": bank.recipe,
        "finer": "",
        "coloured": "",
        "digests": ["aa", "bb"],
    }


def test_a_missing_bank_names_the_pipeline_that_makes_it(dataset: FeatureBankDataset) -> None:
    assert not dataset.exists()
    with pytest.raises(DatasetError, match=r"No feature bank at '.*'\. Run: kedro run --pipelines features"):
        dataset.load()


def test_a_saved_bank_exists(dataset: FeatureBankDataset, bank: FeatureBank) -> None:
    dataset.save(bank)
    assert dataset.exists()
    assert "feature_bank.json" in str(dataset)


def test_the_store_is_there_before_anything_is_in_it(tmp_path: Path) -> None:
    dataset = FeatureStoreDataset(filepath=(tmp_path / "store").as_posix())
    assert dataset.exists()
    assert dataset.load().root == tmp_path / "store"
    assert not (tmp_path / "store").exists()


def test_the_store_is_no_nodes_output(tmp_path: Path) -> None:
    dataset = FeatureStoreDataset(filepath=(tmp_path / "store").as_posix())
    with pytest.raises(DatasetError, match="feature_store is written by extraction"):
        dataset.save(FeatureStore(tmp_path))
    assert "store" in str(dataset)
