from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tests.features.test_pose import GROUND, METAL, apart, bolt

from irp_kedro.features.alignment import Alignment, PartsSeen
from irp_kedro.features.preparation import (
    STRIDE,
    Preparation,
    PreparedImages,
    as_rgb,
    centre_square,
    common_aspect,
    decode,
    grid_shape,
)

WHOLE = Preparation(crop="none", size=32)
RED, GREEN = (255, 0, 0), (0, 255, 0)


def saved(image: Image.Image, path: Path) -> Path:
    image.save(path)
    return path


def first_pixel(path: Path) -> list[int]:
    return WHOLE.read(path)[0, 0].tolist()


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I", "I;16", "F"])
def test_every_mode_becomes_a_square_of_8_bit_colour(mode: str, tmp_path: Path) -> None:
    pixels = WHOLE.read(saved(Image.new(mode, (40, 24)), tmp_path / "image.tif"))
    assert (pixels.shape, pixels.dtype) == ((32, 32, 3), np.uint8)


def test_grey_is_repeated_in_every_channel(tmp_path: Path) -> None:
    path = saved(Image.new("L", (32, 32), 77), tmp_path / "grey.png")
    assert first_pixel(path) == [77, 77, 77]


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bit_grey_keeps_its_upper_8_bits(suffix: str, tmp_path: Path) -> None:
    deep = np.full((32, 32), 0xABCD, dtype=np.uint16)
    path = saved(Image.fromarray(deep), tmp_path / f"deep.{suffix}")
    assert first_pixel(path) == [0xAB] * 3


def test_8_bit_values_in_a_16_bit_file_are_kept_as_they_are(tmp_path: Path) -> None:
    path = saved(Image.fromarray(np.full((32, 32), 200, dtype=np.uint16)), tmp_path / "deep.png")
    assert first_pixel(path) == [200] * 3


def test_a_big_endian_file_reads_as_its_little_endian_twin(tmp_path: Path) -> None:
    values = np.arange(32 * 32, dtype=np.uint16).reshape(32, 32) * 60
    big = Image.frombytes("I;16B", (32, 32), values.astype(">u2").tobytes())
    np.testing.assert_array_equal(np.asarray(as_rgb(big)), np.asarray(as_rgb(Image.fromarray(values))))


def test_a_palette_is_looked_up(tmp_path: Path) -> None:
    image = Image.new("P", (32, 32), 1)
    image.putpalette([*RED, *GREEN])
    assert first_pixel(saved(image, tmp_path / "palette.png")) == list(GREEN)


def test_a_palette_with_transparency_keeps_its_colours(tmp_path: Path) -> None:
    image = Image.new("P", (32, 32), 1)
    image.putpalette([*RED, *GREEN])
    path = tmp_path / "palette.png"
    image.save(path, transparency=bytes([0, 128]))
    assert first_pixel(path) == list(GREEN)


def test_alpha_is_dropped_and_the_colour_under_it_stays(tmp_path: Path) -> None:
    path = saved(Image.new("RGBA", (32, 32), (10, 20, 30, 128)), tmp_path / "alpha.png")
    assert first_pixel(path) == [10, 20, 30]


def stripes(width: int, height: int) -> Image.Image:
    """Red at both ends of the longer side, green in the middle."""
    image = Image.new("RGB", (width, height), RED)
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    image.paste(GREEN, (left, top, left + side, top + side))
    return image


@pytest.mark.parametrize("size", [(96, 32), (32, 96)])
def test_a_centre_crop_holds_nothing_of_the_ends(size: tuple[int, int], tmp_path: Path) -> None:
    path = saved(stripes(*size), tmp_path / "long.png")
    cropped = Preparation(crop="centre", size=32).read(path)
    assert (cropped == np.array(GREEN, dtype=np.uint8)).all()


def test_without_a_crop_the_ends_are_there(tmp_path: Path) -> None:
    pixels = WHOLE.read(saved(stripes(96, 32), tmp_path / "long.png"))
    assert pixels[16, 0].tolist() == list(RED)
    assert pixels[16, 16].tolist() == list(GREEN)
    assert pixels[16, 31].tolist() == list(RED)


@pytest.mark.parametrize("crop", ["none", "centre"])
def test_a_large_jpeg_looks_like_its_lossless_twin(crop: str, tmp_path: Path) -> None:
    across = np.linspace(0, 255, 640, dtype=np.uint8)
    image = Image.fromarray(np.stack([np.tile(across, (320, 1))] * 3, axis=2))
    image.save(tmp_path / "a.jpg", quality=95)
    preparation = Preparation(crop=crop, size=32)
    jpeg = preparation.read(tmp_path / "a.jpg").astype(int)
    lossless = preparation.read(saved(image, tmp_path / "a.png")).astype(int)
    assert np.abs(jpeg - lossless).max() <= 4


@given(width=st.integers(1, 5000), height=st.integers(1, 5000))
def test_the_centred_square_lies_inside_with_equal_margins(width: int, height: int) -> None:
    left, top, right, bottom = centre_square(width, height)
    assert right - left == bottom - top == min(width, height)
    assert 0 <= (width - right) - left <= 1
    assert 0 <= (height - bottom) - top <= 1


def test_prepared_images_are_read_by_digest(tmp_path: Path) -> None:
    paths = {
        "aa": saved(Image.new("RGB", (32, 32), RED), tmp_path / "r.png"),
        "bb": saved(Image.new("RGB", (32, 32), GREEN), tmp_path / "g.png"),
    }
    images = PreparedImages(paths, WHOLE)
    paths.clear()
    assert len(images) == 2
    assert images.read("bb")[0, 0].tolist() == list(GREEN)


@pytest.mark.parametrize(("aspect", "shape"), [(1.0, (32, 32, 3)), (0.25, (64, 32, 3))])
def test_images_are_shown_in_the_shape_they_share(
    aspect: float, shape: tuple[int, ...], tmp_path: Path
) -> None:
    images = PreparedImages({"aa": saved(Image.new("L", (20, 80)), tmp_path / "a.png")}, WHOLE, aspect)
    assert images.read("aa").shape == (32, 32, 3)
    assert images.in_their_shape().read("aa").shape == shape


BOLTS = replace(PartsSeen.among(bolt(angle) for angle in range(0, 360, 30)).alignment, side=0.8)
ALIGNED = Preparation(crop="none", size=64, aligned=BOLTS)


@pytest.mark.parametrize("angle", [0, 33, 135, 250])
def test_where_parts_are_laid_level_they_all_look_alike(angle: float, tmp_path: Path) -> None:
    level = Image.fromarray(ALIGNED.read(saved(bolt(0), tmp_path / "level.png")))
    laid = ALIGNED.read(saved(bolt(angle, centre=(95, 108)), tmp_path / "loose.png"))
    assert (laid.shape, laid.dtype) == ((64, 64, 3), np.uint8)
    assert apart(Image.fromarray(laid), level) < 5


def test_a_part_outside_the_crop_does_not_count(tmp_path: Path) -> None:
    wide = Image.new("RGB", (500, 200), GROUND)
    wide.paste(bolt(60), (150, 0))
    wide.paste(bolt(0), (320, 0))
    path = saved(wide, tmp_path / "wide.png")
    cropped = Preparation(crop="centre", size=64, aligned=BOLTS).read(path)
    alone = ALIGNED.read(saved(bolt(60), tmp_path / "alone.png"))
    assert apart(Image.fromarray(cropped), Image.fromarray(alone)) < 5


def test_an_image_without_a_part_stays_upright_about_its_centre(tmp_path: Path) -> None:
    image = Image.new("RGB", (100, 100), GROUND)
    image.paste((90, 90, 90), (30, 30, 70, 70))
    laid = ALIGNED.read(saved(image, tmp_path / "square.png"))
    inside = laid[..., 0] < 145
    assert inside[17:47, 17:47].all()  # 40 of the 80 pixels that 64 show
    assert inside.sum() <= 34 * 34


@pytest.mark.parametrize("crop", ["none", "centre"])
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_mask_is_laid_with_the_part_of_its_image(crop: str, suffix: str, tmp_path: Path) -> None:
    image = Image.new("RGB", (900, 800), GROUND)
    image.paste(bolt(-70, scale=4), (50, 0))
    path = saved(image, tmp_path / f"bolt.{suffix}")
    preparation = Preparation(crop=crop, size=64, aligned=BOLTS)
    mask = np.asarray(image.convert("L")) < 130
    marked, seen = preparation.prepare_mask(mask, of=path), preparation.read(path)[..., 0] < 130
    assert marked.shape == (64, 64)
    assert (marked & seen).sum() > 0.9 * (marked | seen).sum()


def test_an_image_is_decoded_whole_and_a_jpeg_no_smaller_than_needed(tmp_path: Path) -> None:
    image = Image.new("RGB", (800, 600), METAL)
    assert decode(saved(image, tmp_path / "a.png"), "none", 100).size == (800, 600)
    assert decode(saved(image, tmp_path / "a.png"), "centre", 100).size == (600, 600)
    assert decode(saved(image, tmp_path / "a.jpg"), "none", 100).size == (200, 150)


@given(st.integers(64, 512), st.floats(1 / 4, 4))
def test_an_oblong_has_about_the_area_of_the_square_and_whole_patches(size: int, aspect: float) -> None:
    height, width = Preparation(crop="none", size=size, aspect=aspect).shape
    assert height % STRIDE == width % STRIDE == 0
    exact = size / aspect**0.5, size * aspect**0.5
    assert abs(height - exact[0]) <= max(STRIDE / 2, STRIDE - exact[0])
    assert abs(width - exact[1]) <= max(STRIDE / 2, STRIDE - exact[1])


def test_an_oblong_and_its_mask_keep_their_shape(tmp_path: Path) -> None:
    image, mask = Image.new("L", (250, 630)), np.zeros((630, 250), dtype=np.bool_)
    image.paste(255, (100, 300, 150, 350))
    mask[300:350, 100:150] = True
    kept = Preparation(crop="none", size=320, aspect=0.4)
    path = saved(image, tmp_path / "high.png")
    pixels, prepared = kept.read(path), kept.prepare_mask(mask, of=path)
    assert pixels.shape == (512, 192, 3)
    rows, columns = np.nonzero(prepared)
    assert np.ptp(rows) == pytest.approx(np.ptp(columns), abs=3)  # what was a square is one
    assert (pixels[prepared] > 127).mean() > 0.95


@pytest.mark.parametrize("otherwise", [{"crop": "centre"}, {"aligned": Alignment(side=1.1, heading="AAAA")}])
def test_what_comes_out_square_has_no_other_aspect(otherwise: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="come out square"):
        Preparation(**{"crop": "none", "size": 32, "aspect": 0.4, **otherwise})


@pytest.mark.parametrize(
    ("sizes", "aspect"),
    [
        ([(250, 630), (250, 622), (250, 638)], 0.4),
        ([(630, 250)] * 9 + [(250, 630)], 2.52),
        ([(630, 250)] * 8 + [(250, 630)] * 2, 1.0),
        ([(100, 100), (120, 100), (110, 100)], 1.0),
        ([], 1.0),
    ],
)
def test_nine_images_in_ten_have_to_have_a_shape_in_common(sizes: list[tuple[int, int]], aspect: float) -> None:
    assert common_aspect([width for width, _ in sizes], [height for _, height in sizes]) == aspect


@given(st.integers(64, 1024), st.floats(1 / 4, 4), st.sampled_from([8, 16, 32]))
def test_the_grid_of_an_oblong_is_known_by_its_shape(size: int, aspect: float, stride: int) -> None:
    height, width = Preparation(crop="none", size=size, aspect=aspect).shape
    if aspect != 1:
        rows, columns = height // stride, width // stride
        assert grid_shape(rows * columns, width / height) == (rows, columns)


@given(st.integers(1, 24), st.integers(1, 24))
def test_the_grid_of_an_image_is_known_by_its_aspect(rows: int, columns: int) -> None:
    assert grid_shape(rows * columns, columns / rows) == (rows, columns)
