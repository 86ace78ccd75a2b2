"""Tiny image trees, and requests for them."""

from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from irp_kedro.datasets.sources import ImageRecord, SourceRequest
from irp_kedro.parameters import SampleParameters

Write = Callable[..., Path]


@pytest.fixture
def write_image() -> Write:
    """Writes an image whose pixels no other image of the test has; the suffix picks the format."""
    seeds = count()

    def write(path: Path, *, size: tuple[int, int] = (12, 10), mode: str = "RGB") -> Path:
        rng = np.random.default_rng(next(seeds))
        shape = (size[1], size[0], 3) if mode == "RGB" else (size[1], size[0])
        deep = mode == "I;16"
        pixels = rng.integers(0, 65536 if deep else 256, shape, dtype=np.uint16 if deep else np.uint8)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
        return path

    return write


@pytest.fixture
def write_mask() -> Write:
    """Writes a mask, black but for the pixel ``marked`` (column, row)."""

    def write(path: Path, *, size: tuple[int, int] = (12, 10), marked: tuple[int, int] | None = (6, 5)) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        mask = Image.new("L", size)
        if marked is not None:
            mask.putpixel(marked, 255)
        mask.save(path)
        return path

    return write


@pytest.fixture
def record() -> Callable[..., ImageRecord]:
    def build(
        path: Path, *, split: str = "train", label: str = "normal", mask_path: Path | None = None
    ) -> ImageRecord:
        return ImageRecord(
            path=path,
            split=split,
            product_class="pill",
            label=label,
            defect_type="dent" if label == "anomalous" else "",
            mask_path=mask_path,
        )

    return build


@pytest.fixture
def request_for(tmp_path: Path) -> Callable[..., SourceRequest]:
    def build(path: Path | None, product_class: str = "") -> SourceRequest:
        return SourceRequest(
            path=path, product_class=product_class, raw=tmp_path / "raw", sample=SampleParameters()
        )

    return build


@pytest.fixture
def mvtec_class(tmp_path: Path, write_image: Write, write_mask: Write) -> Path:
    """The class ``pill``: 3 training images, 2 normal and 2 scratched test images."""
    folder = tmp_path / "mvtec" / "pill"
    for name in ("train/good/000", "train/good/001", "train/good/002", "test/good/000", "test/good/001"):
        write_image(folder / f"{name}.png")
    for stem in ("000", "001"):
        write_image(folder / "test" / "scratch" / f"{stem}.png")
        write_mask(folder / "ground_truth" / "scratch" / f"{stem}_mask.png")
    return folder


@pytest.fixture
def ksdd2_set(tmp_path: Path, write_image: Write, write_mask: Write) -> Path:
    """Two normal and one defective training image, one of each in test."""
    folder = tmp_path / "ksdd2"
    for name, defective in (
        ("train/10000", False),
        ("train/10001", True),
        ("train/10002", False),
        ("test/20000", True),
        ("test/20001", False),
    ):
        write_image(folder / f"{name}.png")
        write_mask(folder / f"{name}_GT.png", marked=(3, 4) if defective else None)
    (folder / "mapping.csv").write_text("new,old\n")
    return folder
