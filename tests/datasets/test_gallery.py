from pathlib import Path

import numpy as np
import pytest
from kedro.io import DatasetError

from irp_kedro.datasets.gallery import GalleryDataset
from irp_kedro.reporting.gallery import GalleryImage, as_jpeg

IMAGE = GalleryImage(
    group="removed",
    place=1,
    image_id="id",
    digest="0" * 32,
    name="good/1.png",
    cycle=1,
    score=2.0,
    threshold=1.0,
    judge="gaussian",
    label="normal",
    defect_type="",
    away=(1, 3),
    thumbnail=as_jpeg(np.zeros((40, 40, 3), dtype=np.uint8), 32),
)


def test_a_gallery_comes_back_as_it_was_saved_and_shows_itself_to_kedro_viz(tmp_path: Path) -> None:
    dataset = GalleryDataset(filepath=(tmp_path / "gallery").as_posix())
    dataset.save([IMAGE, IMAGE])
    assert dataset.load() == [IMAGE, IMAGE]
    assert dataset.preview().startswith("iVBORw0KGgo")


def test_an_empty_gallery_is_one_too(tmp_path: Path) -> None:
    dataset = GalleryDataset(filepath=(tmp_path / "gallery").as_posix())
    dataset.save([])
    assert dataset.load() == []


def test_a_gallery_that_was_never_made_says_what_to_run(tmp_path: Path) -> None:
    dataset = GalleryDataset(filepath=(tmp_path / "gallery").as_posix())
    assert not dataset.exists()
    with pytest.raises(DatasetError, match="kedro run --pipelines reporting"):
        dataset.load()
