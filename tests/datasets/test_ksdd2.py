import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from irp_kedro.datasets import image_files, ksdd2
from irp_kedro.datasets.sources import ImageRecord, SourceRequest
from irp_kedro.datasets.validation import validate_images
from irp_kedro.errors import InvalidImagesError, SourceError

RequestFor = Callable[..., SourceRequest]
EXPECTED = [
    ("10000.png", "train", "normal", ""),
    ("10001.png", "train", "anomalous", "defect"),
    ("10002.png", "train", "normal", ""),
    ("20000.png", "test", "anomalous", "defect"),
    ("20001.png", "test", "normal", ""),
]


def rows(records: list[ImageRecord]) -> list[tuple[str, str, str, str]]:
    return [(record.path.name, record.split, record.label, record.defect_type) for record in records]


def zipped(folder: Path, archive: Path, *, inside: str) -> Path:
    with zipfile.ZipFile(archive, "w") as file:
        for path in folder.rglob("*.png"):
            file.write(path, Path(inside) / path.relative_to(folder))
    return archive


def test_labels_come_from_the_masks(ksdd2_set: Path, request_for: RequestFor) -> None:
    records = ksdd2.read(request_for(ksdd2_set))
    assert rows(records) == EXPECTED
    assert {record.product_class for record in records} == {"ksdd2"}


def test_only_defective_images_have_a_mask(ksdd2_set: Path, request_for: RequestFor) -> None:
    masks = [record.mask_path for record in ksdd2.read(request_for(ksdd2_set)) if record.mask_path]
    assert [mask.name for mask in masks] == ["10001_GT.png", "20000_GT.png"]


@pytest.mark.parametrize("inside", [".", "KolektorSDD2"])
def test_an_archive_may_hold_the_splits_directly_or_in_one_folder(
    inside: str, ksdd2_set: Path, tmp_path: Path, request_for: RequestFor
) -> None:
    archive = zipped(ksdd2_set, tmp_path / "KolektorSDD2.zip", inside=inside)
    assert rows(ksdd2.read(request_for(archive))) == EXPECTED


def test_without_a_path_the_published_archive_is_downloaded(
    ksdd2_set: Path, tmp_path: Path, request_for: RequestFor, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = zipped(ksdd2_set, tmp_path / "KolektorSDD2.zip", inside=".")
    asked: list[str] = []

    def fetch(url: str, *, folder: Path, checksum: str | None) -> Path:
        del folder, checksum
        asked.append(url)
        return archive

    monkeypatch.setattr(image_files, "fetch", fetch)
    assert rows(ksdd2.read(request_for(None))) == EXPECTED
    assert asked == [ksdd2.ARCHIVE_URL]


def test_images_without_mask_and_masks_without_image_are_faults(
    ksdd2_set: Path, request_for: RequestFor
) -> None:
    (ksdd2_set / "train" / "10000_GT.png").unlink()
    (ksdd2_set / "test" / "20001.png").unlink()
    with pytest.raises(InvalidImagesError) as raised:
        validate_images(ksdd2.read(request_for(ksdd2_set)), on_duplicate="drop")
    without_image, without_mask = raised.value.faults
    assert "20001_GT.png: mask without an image" in without_image
    assert "10000.png: image without its mask" in without_mask


def test_an_unreadable_mask_is_left_to_validation(ksdd2_set: Path, request_for: RequestFor) -> None:
    (ksdd2_set / "train" / "10002_GT.png").write_bytes(b"no image")
    with pytest.raises(InvalidImagesError, match=r"10002_GT\.png: unreadable mask"):
        validate_images(ksdd2.read(request_for(ksdd2_set)), on_duplicate="drop")


def test_it_has_no_classes(ksdd2_set: Path, request_for: RequestFor) -> None:
    with pytest.raises(SourceError, match=r"no class 'pill'; leave dataset\.product_class empty"):
        ksdd2.read(request_for(ksdd2_set, "pill"))


def test_a_folder_without_both_splits_is_refused(tmp_path: Path, request_for: RequestFor) -> None:
    with pytest.raises(SourceError, match="expected train/ and test/"):
        ksdd2.read(request_for(tmp_path))


def test_the_copies_that_the_published_archive_left_behind_are_skipped_with_a_warning(
    ksdd2_set: Path, request_for: RequestFor, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("10000", "10000_GT"):
        copy = ksdd2_set / "train" / f"{name} (copy).png"
        copy.write_bytes((ksdd2_set / "train" / f"{name}.png").read_bytes())
    assert rows(ksdd2.read(request_for(ksdd2_set))) == EXPECTED
    assert caplog.text.count("names its images by number") == 2
