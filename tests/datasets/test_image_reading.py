from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from irp_kedro.datasets.image_reading import read_image
from irp_kedro.datasets.sources import ImageRecord

Write = Callable[..., Path]
Record = Callable[..., ImageRecord]


@pytest.mark.parametrize(
    ("name", "mode"), [("a.png", "RGB"), ("a.png", "L"), ("a.jpg", "RGB"), ("a.jpg", "L"), ("a.png", "I;16")]
)
def test_colour_grey_and_deep_images_are_readable(
    name: str, mode: str, tmp_path: Path, write_image: Write, record: Record
) -> None:
    path = write_image(tmp_path / name, mode=mode)
    assert read_image(record(path)).faults == []


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp", "a.tif", "a.webp"])
def test_a_truncated_image_is_found(name: str, tmp_path: Path, write_image: Write, record: Record) -> None:
    path = write_image(tmp_path / name, size=(64, 64))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    (fault,) = read_image(record(path)).faults
    assert fault.startswith(f"{path}: unreadable image: ")


@pytest.mark.parametrize(
    ("content", "reason"), [(b"", "the file is empty"), (b"not an image", "no known image format")]
)
def test_a_file_that_is_no_image_is_named_with_the_reason(
    content: bytes, reason: str, tmp_path: Path, record: Record
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    (fault,) = read_image(record(path)).faults
    assert fault.startswith(f"{path}: unreadable image: {reason}")


def test_a_missing_image_is_named(tmp_path: Path, record: Record) -> None:
    assert read_image(record(tmp_path / "a.png")).faults == [f"{tmp_path / 'a.png'}: image missing"]


def test_faults_of_a_mask_are_named(
    tmp_path: Path, write_image: Write, write_mask: Write, record: Record
) -> None:
    image = write_image(tmp_path / "a.png")
    small = write_mask(tmp_path / "small.png", size=(7, 8))
    black = write_mask(tmp_path / "black.png", marked=None)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    faults = [
        read_image(record(image, label="anomalous", mask_path=mask)).faults for mask in (small, black, broken)
    ]
    assert faults == [
        [f"{small}: the mask is 7 x 8 pixels, its image 12 x 10"],
        [f"{black}: the mask of an anomalous image is completely black"],
        [f"{broken}: unreadable mask: no known image format, or its first bytes are damaged"],
    ]


def test_a_broken_image_does_not_hide_its_broken_mask(
    tmp_path: Path, write_mask: Write, record: Record
) -> None:
    image = tmp_path / "a.png"
    image.write_bytes(b"")
    mask = write_mask(tmp_path / "mask.png", marked=None)
    reading = read_image(record(image, label="anomalous", mask_path=mask))
    assert len(reading.faults) == 2
    assert (reading.digest, reading.width, reading.height) == ("", 0, 0)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA"])
def test_a_black_mask_is_black_in_every_mode(
    mode: str, tmp_path: Path, write_image: Write, record: Record
) -> None:
    mask = tmp_path / "mask.png"
    Image.new("RGBA", (12, 10), (0, 0, 0, 255)).convert(mode).save(mask)
    image = write_image(tmp_path / "a.png")
    (fault,) = read_image(record(image, label="anomalous", mask_path=mask)).faults
    assert "completely black" in fault
