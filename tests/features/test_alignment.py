import math
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from tests.features.test_pose import GROUND, METAL, SIDE, apart, bolt, disc, texture, turned

from irp_kedro.features.alignment import Alignment, PartsSeen


def bolts(angles: Iterable[float]) -> list[Image.Image]:
    return [bolt(angle) for angle in angles]


LEVEL = PartsSeen.among(bolts(range(0, 360, 30))).alignment


def pin(angle: float, *, light: float = 0.0, seed: int = 0) -> Image.Image:
    """Return a pin whose ends are alike, with a print near one of them, in noise and under light from above."""
    image = Image.new("RGB", (SIDE, SIDE), GROUND)
    draw = ImageDraw.Draw(image)
    outline = [(-60, -15), (60, -15), (60, 15), (-60, 15)]
    print_ = [(20, -6), (34, -6), (34, 6), (20, 6)]
    draw.polygon([turned(point, angle, (100, 100), 1) for point in outline], fill=METAL)
    draw.polygon([turned(point, angle, (100, 100), 1) for point in print_], fill=(95, 95, 105))
    pixels = np.asarray(image) + np.random.default_rng(seed).normal(0, 4, (SIDE, SIDE, 3))
    pixels += light * (np.arange(SIDE) - SIDE / 2)[:, None, None]
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def laid(alignment: Alignment, image: Image.Image) -> Image.Image:
    return alignment.lay(image, alignment.pose_of(image), 64)


def test_parts_at_any_angle_are_told_from_parts_that_lie_alike() -> None:
    loose, placed = PartsSeen.among(bolts(range(0, 360, 30))), PartsSeen.among(bolts(range(-6, 6)))
    assert (loose.in_every_image, loose.at_any_angle) == (True, True)
    assert (placed.in_every_image, placed.at_any_angle) == (True, False)


def test_parts_that_lie_both_ways_round_lie_alike() -> None:
    assert not PartsSeen.among(bolts([0, 180] * 4)).at_any_angle


def test_a_few_images_without_a_clear_part_do_not_matter_and_many_do() -> None:
    angles = range(0, 360, 18)
    assert PartsSeen.among([*bolts(angles), texture(), disc()]).in_every_image
    assert not PartsSeen.among([*bolts(angles), *[disc()] * 4]).in_every_image


def test_no_image_at_all_shows_no_part() -> None:
    nobody = PartsSeen.among([])
    assert (nobody.in_every_image, nobody.at_any_angle) == (False, False)


def test_the_common_square_holds_the_part_with_a_little_to_spare() -> None:
    seen = PartsSeen.among(bolts(range(0, 360, 45)))
    assert 120 / SIDE < seen.alignment.side < 1.2 * 120 / SIDE


@settings(deadline=None, max_examples=25)
@given(angle=st.floats(-180, 180))
def test_bolts_lie_with_the_lighter_end_to_the_right(angle: float) -> None:
    assert abs((LEVEL.pose_of(bolt(angle)).angle - angle + 180) % 360 - 180) < 3


@pytest.mark.parametrize("light", [0.0, 0.2])
def test_parts_whose_ends_are_alike_lie_the_same_way_round_by_what_is_on_them(light: float) -> None:
    angles = [23.0 * number for number in range(32)]
    pins = [pin(angle, light=light, seed=number) for number, angle in enumerate(angles)]
    alignment = PartsSeen.among(pins).alignment
    poses = [alignment.pose_of(image).angle - angle for image, angle in zip(pins, angles, strict=True)]
    same_way = [math.cos(math.radians(pose)) for pose in poses]
    assert min(same_way) > 0.99 or max(same_way) < -0.99


def test_parts_with_nothing_to_tell_their_ends_apart_are_laid_level_all_the_same() -> None:
    plain = [pin(angle) for angle in range(0, 180, 20)]
    alignment = PartsSeen.among(plain).alignment
    assert apart(laid(alignment, plain[0]), laid(alignment, plain[4])) < 15


def test_an_image_without_a_part_stays_upright() -> None:
    pose = LEVEL.pose_of(disc())
    assert (pose.centre, pose.angle, pose.clear) == ((SIDE / 2, SIDE / 2), 0.0, False)


@settings(deadline=None, max_examples=60)
@given(width=st.integers(1, 90), height=st.integers(1, 90), levels=st.integers(1, 4), seed=st.integers(0, 99))
def test_whatever_an_image_shows_a_square_comes_out(width: int, height: int, levels: int, seed: int) -> None:
    pixels = 60 * np.random.default_rng(seed).integers(0, levels, (height, width, 3), dtype=np.uint8)
    assert laid(LEVEL, Image.fromarray(pixels)).size == (64, 64)


def test_an_alignment_is_what_was_written_of_it() -> None:
    again = Alignment(side=LEVEL.side, heading=LEVEL.heading)
    assert again == LEVEL
    assert apart(laid(again, bolt(200)), laid(LEVEL, bolt(200))) == 0
    assert len(LEVEL.heading) < 2000
