from pathlib import Path

import pytest
from kedro.io import DatasetError

from irp_kedro.datasets.raw_folder import RawFolderDataset


@pytest.fixture
def dataset(tmp_path: Path) -> RawFolderDataset:
    return RawFolderDataset(filepath=(tmp_path / "01_raw").as_posix())


def test_the_folder_is_handed_over_whether_or_not_it_exists(dataset: RawFolderDataset, tmp_path: Path) -> None:
    assert dataset.exists()
    assert dataset.load() == tmp_path / "01_raw"
    assert not (tmp_path / "01_raw").exists()


def test_the_folder_is_no_nodes_output(dataset: RawFolderDataset, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="raw_folder is filled by the sources"):
        dataset.save(tmp_path)
    assert "01_raw" in str(dataset)
