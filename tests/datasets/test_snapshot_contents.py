import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from kedro.io import DatasetError
from PIL import Image

from irp_kedro.datasets.snapshot_contents import Contents, SnapshotContentsDataset
from irp_kedro.features.preparation import Preparation, PreparedImages


@pytest.fixture
def training(tmp_path: Path) -> pd.DataFrame:
    """Two images in two folders."""
    paths = [tmp_path / "set" / name for name in ("good/a.PNG", "bad/b.jpg")]
    for number, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((12, 10, 3), 100 * number, dtype=np.uint8)).save(path)
    return pd.DataFrame(
        {
            "image_id": ["id0", "id1"],
            "path": [path.as_posix() for path in paths],
            "digest": [md5(path) for path in paths],
        }
    )


@pytest.fixture
def prepared(training: pd.DataFrame) -> PreparedImages:
    paths = {digest: Path(path) for digest, path in zip(training["digest"], training["path"], strict=True)}
    return PreparedImages(paths, Preparation(crop="centre", size=8))


@pytest.fixture
def dataset(tmp_path: Path) -> SnapshotContentsDataset:
    return SnapshotContentsDataset(filepath=(tmp_path / "cell" / "snapshot_contents.csv").as_posix())


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def test_source_files_are_listed_under_their_ids_and_stay_where_they_are(
    dataset: SnapshotContentsDataset, training: pd.DataFrame, tmp_path: Path
) -> None:
    dataset.save(Contents(training=training, prepared=None))
    first, second = dataset.load()
    assert (first.image_id, first.name, first.original) == ("id0", "id0.png", "good/a.PNG")
    assert (second.image_id, second.name, second.original) == ("id1", "id1.jpg", "bad/b.jpg")
    assert [image.digest for image in (first, second)] == list(training["digest"])
    assert [image.path for image in (first, second)] == list(training["path"])
    assert first.size == Path(first.path).stat().st_size
    assert [path.name for path in (tmp_path / "cell").iterdir()] == ["snapshot_contents.csv"]


def test_prepared_images_are_written_as_the_backbone_sees_them(
    dataset: SnapshotContentsDataset, training: pd.DataFrame, prepared: PreparedImages
) -> None:
    dataset.save(Contents(training=training, prepared=prepared))
    for stored, source in zip(dataset.load(), training["digest"], strict=True):
        path = Path(stored.path)
        assert (stored.name, stored.digest, stored.size) == (path.name, md5(path), path.stat().st_size)
        with Image.open(path) as image:
            np.testing.assert_array_equal(np.asarray(image), prepared.read(source))
    assert [image.original for image in dataset.load()] == ["good/a.png", "bad/b.png"]


def test_a_second_save_replaces_the_first(
    dataset: SnapshotContentsDataset, training: pd.DataFrame, prepared: PreparedImages
) -> None:
    dataset.save(Contents(training=training, prepared=prepared))
    dataset.save(Contents(training=training.iloc[:1], prepared=None))
    assert [image.name for image in dataset.load()] == ["id0.png"]


def test_a_table_that_is_missing_names_the_pipeline_that_makes_it(dataset: SnapshotContentsDataset) -> None:
    assert not dataset.exists()
    with pytest.raises(DatasetError, match=r"No snapshot contents at .*kedro run --pipelines refinement"):
        dataset.load()


def test_a_table_that_was_saved_exists(dataset: SnapshotContentsDataset, training: pd.DataFrame) -> None:
    dataset.save(Contents(training=training, prepared=None))
    assert dataset.exists()
