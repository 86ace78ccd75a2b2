import base64
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from kedro.io import DatasetError
from PIL import Image

from irp_kedro.core.anomaly_maps import AnomalyMaps
from irp_kedro.datasets.anomaly_maps import AnomalyMapsDataset

SEVEN = AnomalyMaps(
    image_ids=tuple("abcdefg"),
    maps=np.random.default_rng(0).random((7, 4, 6)).astype(np.float16),
    method="gradient",
    detector="differnet",
)


def picture_of(dataset: AnomalyMapsDataset) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(str(dataset.preview()))))


def test_maps_come_back_as_they_were(tmp_path: Path) -> None:
    dataset = AnomalyMapsDataset(filepath=str(tmp_path / "new" / "maps.npz"))
    assert not dataset.exists()
    dataset.save(SEVEN)
    found = dataset.load()
    assert (found.image_ids, found.method, found.detector) == (SEVEN.image_ids, "gradient", "differnet")
    assert found.maps.dtype == np.float16
    np.testing.assert_array_equal(found.maps, SEVEN.maps)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["maps.npz"]


def test_whose_each_map_is_comes_back_too(tmp_path: Path) -> None:
    dataset = AnomalyMapsDataset(filepath=str(tmp_path / "maps.npz"))
    dataset.save(replace(SEVEN, detectors=("differnet",) * 6 + ("colour_memory",)))
    found = dataset.load()
    assert [found.whose(image) for image in "fg"] == ["differnet", "colour_memory"]


def test_a_file_of_an_earlier_version_does_not_say_whose_maps_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "maps.npz"
    np.savez(path, image_ids=np.array(["a"]), maps=SEVEN.maps[:1], method=np.array("gradient"))
    found = AnomalyMapsDataset(filepath=str(path)).load()
    assert (found.image_ids, found.method, found.detector) == (("a",), "gradient", "")


def test_no_maps_come_back_as_none(tmp_path: Path) -> None:
    dataset = AnomalyMapsDataset(filepath=str(tmp_path / "maps.npz"))
    dataset.save(AnomalyMaps.empty())
    assert (len(dataset.load()), dataset.load().method) == (0, "none")
    assert picture_of(dataset).width > 0


def test_missing_maps_name_the_pipeline_that_makes_them(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="kedro run --pipelines evaluation"):
        AnomalyMapsDataset(filepath=str(tmp_path / "maps.npz")).load()


def test_the_preview_shows_the_maps_in_rows_of_six(tmp_path: Path) -> None:
    dataset = AnomalyMapsDataset(filepath=str(tmp_path / "maps.npz"))
    dataset.save(SEVEN)
    picture = picture_of(dataset)
    assert (picture.format, picture.size) == ("PNG", (6 * 96, 2 * 96))
