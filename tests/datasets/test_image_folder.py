import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from irp_kedro.datasets import image_folder
from irp_kedro.datasets.sources import ImageRecord, SourceRequest
from irp_kedro.datasets.validation import validate_images
from irp_kedro.errors import InvalidImagesError, SourceError

RequestFor = Callable[..., SourceRequest]
Write = Callable[..., Path]
Row = tuple[str, str, str, str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "widgets"
    path.mkdir()
    return path


def rows(folder: Path, records: list[ImageRecord]) -> list[Row]:
    root = folder.resolve()
    return [
        (record.path.relative_to(root).as_posix(), record.split, record.label, record.defect_type)
        for record in records
    ]


def test_a_flat_folder_is_an_unlabelled_training_set(
    folder: Path, write_image: Write, request_for: RequestFor
) -> None:
    for name in ("b.JPG", "a.png", "c.tiff", ".hidden.png"):
        write_image(folder / name)
    records = image_folder.read(request_for(folder))
    assert rows(folder, records) == [(name, "train", "unknown", "") for name in ("a.png", "b.JPG", "c.tiff")]
    assert {record.product_class for record in records} == {"widgets"}


def test_the_product_class_may_be_named(folder: Path, write_image: Write, request_for: RequestFor) -> None:
    write_image(folder / "a.png")
    assert image_folder.read(request_for(folder, "gear"))[0].product_class == "gear"


def test_folders_by_label_are_a_training_set(folder: Path, write_image: Write, request_for: RequestFor) -> None:
    for name in ("Good/a.png", "ok/b.png", "NORMAL/c.png", "unlabelled/d.png", "unlabeled/e.png", "Dent/f.png"):
        write_image(folder / name)
    assert rows(folder, image_folder.read(request_for(folder))) == [
        ("Dent/f.png", "train", "anomalous", "Dent"),
        ("Good/a.png", "train", "normal", ""),
        ("NORMAL/c.png", "train", "normal", ""),
        ("ok/b.png", "train", "normal", ""),
        ("unlabeled/e.png", "train", "unknown", ""),
        ("unlabelled/d.png", "train", "unknown", ""),
    ]


def test_splits_hold_folders_by_label(folder: Path, write_image: Write, request_for: RequestFor) -> None:
    for name in ("train/good/a.png", "train/dent/b.png", "Test/good/c.png", "Test/dent/d.png"):
        write_image(folder / name)
    assert rows(folder, image_folder.read(request_for(folder))) == [
        ("Test/dent/d.png", "test", "anomalous", "dent"),
        ("Test/good/c.png", "test", "normal", ""),
        ("train/dent/b.png", "train", "anomalous", "dent"),
        ("train/good/a.png", "train", "normal", ""),
    ]


def test_a_split_of_bare_images_has_no_labels(
    folder: Path, write_image: Write, request_for: RequestFor
) -> None:
    write_image(folder / "train" / "a.png")
    write_image(folder / "test" / "dent" / "b.png")
    assert rows(folder, image_folder.read(request_for(folder))) == [
        ("test/dent/b.png", "test", "anomalous", "dent"),
        ("train/a.png", "train", "unknown", ""),
    ]


def test_masks_lie_in_ground_truth_under_either_name(
    folder: Path, write_image: Write, write_mask: Write, request_for: RequestFor
) -> None:
    for name in ("good/a.png", "dent/b.jpg", "dent/c.png", "hole/d.png"):
        write_image(folder / name)
    for name in ("good/a.png", "dent/b_mask.png", "dent/c.png"):
        write_mask(folder / "ground_truth" / name)
    masks = [record.mask_path for record in image_folder.read(request_for(folder))]
    assert [mask and mask.name for mask in masks] == ["b_mask.png", "c.png", None, None]


def test_every_unpaired_mask_or_image_is_a_fault(
    folder: Path, write_image: Write, write_mask: Write, request_for: RequestFor
) -> None:
    for name in ("train/good/a.png", "test/dent/b.png", "test/dent/c.png"):
        write_image(folder / name)
    for name in ("dent/b_mask.png", "dent/b.png", "dent/x_mask.png", "hole/y.png"):
        write_mask(folder / "ground_truth" / name)
    with pytest.raises(InvalidImagesError) as raised:
        validate_images(image_folder.read(request_for(folder)), on_duplicate="drop")
    missing, stray, stray_type, twice = raised.value.faults
    assert "c.png: image without its mask; expected" in missing
    assert "x_mask.png: mask without an image; expected 'x' in" in stray
    assert "y.png: mask without an image" in stray_type
    assert "b.png: several masks" in twice


def test_a_path_is_required(request_for: RequestFor) -> None:
    with pytest.raises(SourceError, match=r"--params dataset\.path=FOLDER"):
        image_folder.read(request_for(None))


def test_a_file_is_no_folder(folder: Path, write_image: Write, request_for: RequestFor) -> None:
    with pytest.raises(SourceError, match="is a file"):
        image_folder.read(request_for(write_image(folder / "a.png")))


def test_a_missing_folder_gets_the_nearest_that_exists(folder: Path, request_for: RequestFor) -> None:
    with pytest.raises(SourceError, match=r"does not exist.*did you mean 'widgets'"):
        image_folder.read(request_for(folder.parent / "wigdets"))


def test_a_missing_folder_in_an_empty_one_is_told_too(folder: Path, request_for: RequestFor) -> None:
    with pytest.raises(SourceError, match="it holds no folder at all"):
        image_folder.read(request_for(folder / "any" / "where"))


def test_an_empty_folder_is_refused(folder: Path, request_for: RequestFor) -> None:
    (folder / "good").mkdir()
    with pytest.raises(SourceError, match=r"holds no image; images end in \.png"):
        image_folder.read(request_for(folder))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("a.png", "good/b.png"), "directly, like 'a.png', and the folder 'good'"),
        (("train/a.png", "train/good/b.png"), "directly, like 'a.png', and the folder 'good'"),
        (("good/a.png", "good/more/b.png"), "'more', but images are read one level deep only"),
        (("train/good/a.png", "dent/b.png"), r"holds 'dent'\. Beside train/ and test/"),
        (("train/good/a.png", "b.png"), r"holds 'b\.png'\. Beside train/ and test/"),
        (("test/good/a.png",), "test/ but no train/"),
        (("train/a.png", "Train/b.png"), "a split twice"),
        (("a.png", "ground_truth/dent/a.png"), "'ground_truth' beside images without label"),
        (("dent/a.png", "ground_truth/a.png"), "'a.png', directly; each belongs in a folder of its type"),
    ],
)
def test_mixed_layouts_are_refused_by_name(
    names: tuple[str, ...], message: str, folder: Path, write_image: Write, request_for: RequestFor
) -> None:
    for name in names:
        write_image(folder / name)
    with pytest.raises(SourceError, match=message):
        image_folder.read(request_for(folder))


def test_files_of_other_kinds_among_images_are_not_skipped_silently(
    folder: Path, write_image: Write, request_for: RequestFor, caplog: pytest.LogCaptureFixture
) -> None:
    write_image(folder / "a.png")
    (folder / "b.heic").write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        assert len(image_folder.read(request_for(folder))) == 1
    assert "skipped 1 files that are no images: b.heic" in caplog.text
