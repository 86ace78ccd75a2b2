from pathlib import Path

import pytest
from kedro.io import DatasetError

from irp_kedro.datasets.prepared_images import PreparedImagesDataset
from irp_kedro.features.alignment import Alignment
from irp_kedro.features.preparation import Preparation, PreparedImages


@pytest.fixture
def dataset(tmp_path: Path) -> PreparedImagesDataset:
    return PreparedImagesDataset(filepath=(tmp_path / "cell" / "prepared_images.json").as_posix())


@pytest.mark.parametrize("aligned", [None, Alignment(side=1.1, heading="AAAA")])
def test_a_saved_set_comes_back_with_its_recipe(
    aligned: Alignment | None, dataset: PreparedImagesDataset, tmp_path: Path
) -> None:
    # No pixel is touched: these files do not exist.
    paths = {"bb": tmp_path / "傷 1.png", "aa": tmp_path / "b" / "x y.png"}
    preparation = Preparation(crop="centre", size=48, aligned=aligned)
    dataset.save(PreparedImages(paths, preparation, 0.4))
    loaded = dataset.load()
    assert loaded.paths == paths
    assert loaded.aspect == 0.4
    assert loaded.preparation == preparation


def test_a_set_that_was_saved_before_parts_were_laid_level_stays_as_it_was_taken(
    dataset: PreparedImagesDataset, tmp_path: Path
) -> None:
    file = tmp_path / "cell" / "prepared_images.json"
    file.parent.mkdir()
    file.write_text('{"crop": "none", "size": 48, "paths": {}}')
    assert dataset.load().preparation == Preparation(crop="none", size=48)
    assert dataset.load().aspect == 1


def test_a_missing_file_names_the_pipeline_that_makes_it(dataset: PreparedImagesDataset) -> None:
    assert not dataset.exists()
    with pytest.raises(
        DatasetError, match=r"No prepared images at '.*'\. Run: kedro run --pipelines ingestion"
    ):
        dataset.load()


def test_a_saved_set_exists_and_a_later_one_replaces_it(dataset: PreparedImagesDataset) -> None:
    for size in (32, 64):
        dataset.save(PreparedImages({}, Preparation(crop="none", size=size)))
    assert dataset.exists()
    assert dataset.load().preparation.size == 64


def test_the_description_names_the_file(dataset: PreparedImagesDataset) -> None:
    assert "prepared_images.json" in str(dataset)
