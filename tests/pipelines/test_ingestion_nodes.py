import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.features.test_pose import bolt

from irp_kedro.errors import ParameterError, ReviewError, SourceError
from irp_kedro.features.preparation import Preparation
from irp_kedro.parameters import DatasetParameters, PreparationParameters, SampleParameters
from irp_kedro.pipelines.ingestion.nodes import prepare_images, read_images, read_review
from irp_kedro.pipelines.ingestion.pipeline import create_pipeline

SAMPLE = SampleParameters(normal_train=3, normal_test=2, defective=3, size=32)


def test_a_source_becomes_a_manifest(tmp_path: Path) -> None:
    manifest = read_images(tmp_path, DatasetParameters(), SAMPLE, "drop")
    assert manifest.groupby(["split", "label"]).size().to_dict() == {
        ("test", "anomalous"): 3,
        ("test", "normal"): 2,
        ("train", "normal"): 3,
    }


def test_a_path_that_does_not_exist_ends_before_anything_is_read(tmp_path: Path) -> None:
    asked = DatasetParameters(name="image_folder", path=str(tmp_path / "nowhere"))
    with pytest.raises(SourceError, match="does not exist"):
        read_images(tmp_path, asked, SAMPLE, "drop")


def test_prepared_images_are_read_at_the_size_asked(tmp_path: Path) -> None:
    manifest = read_images(tmp_path, DatasetParameters(), SAMPLE, "drop")
    prepared = prepare_images(manifest, PreparationParameters(size=48), read_review(manifest, ""))
    assert len(prepared) == len(manifest)
    assert prepared.read(manifest["digest"].iloc[0]).shape == (48, 48, 3)


def test_a_crop_says_how_many_masks_it_loses(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for split, marked in (("train", 20), ("test", 2)):
        (tmp_path / split).mkdir()
        pixels = np.random.default_rng(marked).integers(0, 255, (40, 20), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / split / "00001.png")
        mask = np.zeros((40, 20), dtype=np.uint8)
        mask[marked, 5] = 255
        Image.fromarray(mask).save(tmp_path / split / "00001_GT.png")
    manifest = read_images(tmp_path, DatasetParameters(name="ksdd2", path=str(tmp_path)), SAMPLE, "drop")
    with caplog.at_level(logging.INFO):
        prepare_images(manifest, PreparationParameters(crop="centre", size=32), read_review(manifest, ""))
    assert "loses 1 of 2 defect masks" in caplog.text


LOOSE, PLACED = range(0, 360, 30), range(-6, 6)


def prepared_bolts(folder: Path, train: Iterable[int], test: Iterable[int], align: Any) -> Preparation:
    """Prepare images of bolts at the given angles, in degrees."""
    for split, angles in (("train", train), ("test", test)):
        (folder / "bolt" / split / "good").mkdir(parents=True)
        for angle in angles:
            bolt(angle, centre=(100 + (split == "test"), 100)).save(
                folder / "bolt" / split / "good" / f"{angle}.png"
            )
    asked = DatasetParameters(name="mvtec_ad", path=str(folder), product_class="bolt")
    manifest = read_images(folder, asked, SAMPLE, "drop")
    preparation = PreparationParameters(size=32, align=align)
    return prepare_images(manifest, preparation, read_review(manifest, "")).preparation


def test_parts_at_any_angle_are_laid_level_in_a_square_that_holds_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        preparation = prepared_bolts(tmp_path, LOOSE, PLACED, "auto")
    assert preparation.aligned is not None
    assert preparation.aligned.side == pytest.approx(0.63, abs=0.03)  # 120 of 200 pixels, and 6 % to spare
    assert "12 of 12 training images show one long part" in caplog.text
    assert "every part is laid level" in caplog.text


def test_parts_that_lie_alike_stay_as_they_were_taken_however_test_images_lie(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        assert prepared_bolts(tmp_path, PLACED, LOOSE, "auto").aligned is None
    assert "stay as they were taken" in caplog.text


def test_laying_level_can_be_refused_and_demanded(tmp_path: Path) -> None:
    assert prepared_bolts(tmp_path / "refused", LOOSE, PLACED, "never").aligned is None
    assert prepared_bolts(tmp_path / "demanded", PLACED, LOOSE, "always").aligned is not None


def test_a_demand_to_lay_level_what_has_no_long_part_names_the_way_out(tmp_path: Path) -> None:
    manifest = read_images(tmp_path, DatasetParameters(), SAMPLE, "drop")
    with pytest.raises(ParameterError, match=r"only 0 of 3 training images .* auto or never"):
        prepare_images(manifest, PreparationParameters(align="always"), read_review(manifest, ""))


def test_a_review_of_images_that_the_source_does_not_have_ends_the_run(tmp_path: Path) -> None:
    manifest = read_images(tmp_path, DatasetParameters(), SAMPLE, "drop")
    review = tmp_path / "review.csv"
    review.write_text(f"digest,decision\n{manifest['digest'].iloc[0]},keep\n")
    assert read_review(manifest, str(review))["decision"].tolist() == ["keep"]
    review.write_text(f"digest,decision\n{'0' * 32},keep\n")
    with pytest.raises(ReviewError, match="no image of this source"):
        read_review(manifest, str(review))


def test_a_review_is_checked_before_images_are_prepared_and_so_before_features_are_extracted() -> None:
    nodes = {node.name: node for node in create_pipeline().nodes}
    assert "review" in nodes["prepare_images"].inputs


@pytest.mark.parametrize(("crop", "aspect"), [("none", 0.5), ("centre", 1.0)])
def test_the_shape_that_training_images_share_is_stated(
    crop: Any, aspect: float, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for split, size in (("train", (20, 40)), ("test", (40, 20))):
        (tmp_path / split).mkdir()
        for number in range(3):
            pixels = np.random.default_rng(number).integers(0, 255, size[::-1], dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / split / f"0000{number}.png")
            Image.fromarray(np.zeros(size[::-1], np.uint8)).save(tmp_path / split / f"0000{number}_GT.png")
    asked = DatasetParameters(name="ksdd2", path=str(tmp_path))
    manifest = read_images(tmp_path, asked, SAMPLE, "error")
    with caplog.at_level(logging.INFO):
        prepared = prepare_images(manifest, PreparationParameters(crop=crop), read_review(manifest, ""))
    assert prepared.aspect == aspect
    assert ("2.0 times as high as they are wide" in caplog.text) == (aspect != 1)
