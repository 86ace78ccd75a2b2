import hashlib
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from irp_kedro.core.manifest import COLUMNS
from irp_kedro.datasets import mvtec_ad
from irp_kedro.datasets.sources import ImageRecord, SourceRequest
from irp_kedro.datasets.validation import OnDuplicate, count_lost_masks, validate_images
from irp_kedro.errors import InvalidImagesError, SourceError

Write = Callable[..., Path]
Record = Callable[..., ImageRecord]


def faults_of(records: list[ImageRecord], *, on_duplicate: OnDuplicate = "drop") -> tuple[str, ...]:
    with pytest.raises(InvalidImagesError) as raised:
        validate_images(records, on_duplicate=on_duplicate, progress=False)
    return raised.value.faults


def names(manifest: pd.DataFrame) -> list[str]:
    return [Path(path).name for path in manifest["path"]]


def test_the_manifest_describes_each_image(
    tmp_path: Path, write_image: Write, write_mask: Write, record: Record
) -> None:
    good = write_image(tmp_path / "b.png", size=(7, 5))
    bad = write_image(tmp_path / "a.png")
    mask = write_mask(tmp_path / "a_mask.png")
    manifest = validate_images(
        [record(good), record(bad, split="test", label="anomalous", mask_path=mask)], on_duplicate="drop"
    )
    assert tuple(manifest.columns) == COLUMNS
    assert names(manifest) == ["a.png", "b.png"]
    digests = [hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() for path in (bad, good)]
    assert manifest["digest"].tolist() == digests
    assert manifest["image_id"].tolist() == [digest[:16] for digest in digests]
    assert manifest["mask_path"].tolist() == [str(mask), ""]
    assert manifest[["width", "height"]].to_numpy().tolist() == [[12, 10], [7, 5]]
    assert manifest["label"].tolist() == ["anomalous", "normal"]


def test_the_order_of_the_records_does_not_matter(tmp_path: Path, write_image: Write, record: Record) -> None:
    records = [record(write_image(tmp_path / f"{name}.png")) for name in "abc"]
    forwards = validate_images(records, on_duplicate="drop")
    backwards = validate_images(records[::-1], on_duplicate="drop")
    pd.testing.assert_frame_equal(forwards, backwards)


def test_unpaired_masks_and_images_come_with_all_other_faults(
    mvtec_class: Path, request_for: Callable[..., SourceRequest]
) -> None:
    (mvtec_class / "ground_truth" / "scratch" / "000_mask.png").unlink()
    (mvtec_class / "test" / "scratch" / "001.png").unlink()
    (mvtec_class / "train" / "good" / "000.png").write_bytes(b"")
    faults = faults_of(mvtec_ad.read(request_for(mvtec_class)))
    assert len(faults) == 3
    assert "000.png: image without its mask; expected" in faults[0]
    assert "001_mask.png: mask without an image; expected '001' in" in faults[1]
    assert "000.png: unreadable image: the file is empty" in faults[2]


def test_one_mask_for_two_images_is_a_fault(
    tmp_path: Path, write_image: Write, write_mask: Write, record: Record
) -> None:
    mask = write_mask(tmp_path / "mask.png")
    images = [write_image(tmp_path / name) for name in ("a.jpg", "a.png")]
    (fault,) = faults_of([record(image, label="anomalous", mask_path=mask) for image in images])
    assert fault == f"{mask}: one mask for several images: {images[0]}, {images[1]}"


@pytest.mark.parametrize("on_duplicate", ["drop", "error", "keep"])
def test_an_image_in_both_splits_is_always_a_fault(
    on_duplicate: OnDuplicate, tmp_path: Path, write_image: Write, record: Record
) -> None:
    train = write_image(tmp_path / "train.png")
    test = Path(shutil.copy(train, tmp_path / "test.png"))
    records = [record(train), record(test, split="test")]
    assert faults_of(records, on_duplicate=on_duplicate) == (
        f"{train}: this training image is also in the test split: {test}",
    )


@pytest.mark.parametrize("on_duplicate", ["drop", "error", "keep"])
def test_one_image_under_two_labels_is_always_a_fault(
    on_duplicate: OnDuplicate, tmp_path: Path, write_image: Write, record: Record
) -> None:
    good = write_image(tmp_path / "good.png")
    bad = Path(shutil.copy(good, tmp_path / "bad.png"))
    records = [record(good), record(bad, label="anomalous")]
    assert faults_of(records, on_duplicate=on_duplicate) == (
        f"{good}: normal, but the same image is anomalous: {bad}",
    )


@pytest.fixture
def repeated(tmp_path: Path, write_image: Write, record: Record) -> list[ImageRecord]:
    """Eight images, seven of them the same, listed backwards."""
    first = write_image(tmp_path / "0.png")
    copies = [Path(shutil.copy(first, tmp_path / f"{index}.png")) for index in range(1, 7)]
    return [record(path) for path in (write_image(tmp_path / "9.png"), *reversed(copies), first)]


def test_drop_keeps_the_first_by_path_and_says_so(
    repeated: list[ImageRecord], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        manifest = validate_images(repeated, on_duplicate="drop")
    assert names(manifest) == ["0.png", "9.png"]
    assert "dropped 6 of 8 images" in caplog.text
    assert "5.png, …" in caplog.text
    assert "6.png" not in caplog.text


def test_keep_keeps_all_under_different_ids(
    repeated: list[ImageRecord], caplog: pytest.LogCaptureFixture
) -> None:
    manifest = validate_images(repeated, on_duplicate="keep")
    assert len(manifest) == 8
    assert manifest["image_id"].is_unique
    assert not caplog.records


def test_error_names_every_repeat_and_its_original(repeated: list[ImageRecord], tmp_path: Path) -> None:
    faults = faults_of(repeated, on_duplicate="error")
    assert len(faults) == 6
    assert faults[0] == f"{tmp_path / '1.png'}: the same image as {tmp_path / '0.png'}"


def test_twenty_faults_are_shown_and_the_rest_counted(tmp_path: Path, record: Record) -> None:
    records = [record(tmp_path / f"{index:02d}.png") for index in range(23)]
    with pytest.raises(InvalidImagesError) as raised:
        validate_images(records, on_duplicate="drop")
    lines = str(raised.value).splitlines()
    assert lines[0] == "23 faults in the images:"
    assert len(lines) == 22
    assert "19.png" in lines[20]
    assert lines[21] == "  … and 3 more"


@pytest.mark.parametrize("split", [None, "test"])
def test_something_must_be_there_to_train_on(split: str | None, tmp_path: Path, record: Record) -> None:
    records = [record(tmp_path / "a.png", split=split)] if split else []
    with pytest.raises(SourceError, match="no training image"):
        validate_images(records, on_duplicate="drop")


def test_masks_outside_the_centred_square_are_counted(
    tmp_path: Path, write_image: Write, write_mask: Write, record: Record
) -> None:
    # The centred square of 12 x 10 pixels spans the columns 1 to 10.
    marks = {"a": (0, 5), "b": (1, 5), "c": (10, 0), "d": (11, 9)}
    records = [
        record(
            write_image(tmp_path / f"{name}.png"),
            label="anomalous",
            mask_path=write_mask(tmp_path / "masks" / f"{name}.png", marked=mark),
        )
        for name, mark in marks.items()
    ]
    unmasked = replace(records[0], path=write_image(tmp_path / "e.png"), mask_path=None)
    manifest = validate_images([*records, unmasked], on_duplicate="drop")
    assert count_lost_masks(manifest, crop="centre") == (2, 4)
    assert count_lost_masks(manifest, crop="none") == (0, 4)
