import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from irp_kedro.errors import ReviewError, SourceError
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
