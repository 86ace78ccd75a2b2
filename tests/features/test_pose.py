import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from irp_kedro.features.pose import Pose, find_pose, lay_level

SIDE = 200
GROUND, METAL = (200, 205, 200), (60, 60, 70)


def bolt(angle: float, *, centre: tuple[float, float] = (100, 100), scale: float = 1.0) -> Image.Image:
    """Return a bolt whose shaft points ``angle`` degrees clockwise from the x axis, away from its head."""
    image = Image.new("RGB", (round(SIDE * scale),) * 2, GROUND)
    draw = ImageDraw.Draw(image)
    head = [(-60, -20), (-40, -20), (-40, 20), (-60, 20)]
    shaft = [(-40, -8), (60, -8), (60, 8), (-40, 8)]
    for outline in (head, shaft):
        draw.polygon([turned(point, angle, centre, scale) for point in outline], fill=METAL)
    return image


def turned(
    point: tuple[float, float], angle: float, centre: tuple[float, float], scale: float
) -> tuple[float, float]:
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    x, y = point
    return (scale * (centre[0] + cosine * x - sine * y), scale * (centre[1] + sine * x + cosine * y))


def found(image: Image.Image) -> Pose:
    pose = find_pose(image)
    assert pose is not None
    return pose


def apart(one: Image.Image, other: Image.Image) -> float:
    """Return the mean difference of two images, of 255."""
    return float(np.abs(np.asarray(one).astype(float) - np.asarray(other).astype(float)).mean())


@settings(deadline=None)
@given(angle=st.floats(-180, 180), x=st.floats(80, 120), y=st.floats(80, 120))
def test_a_part_is_found_where_and_as_it_was_drawn(angle: float, x: float, y: float) -> None:
    pose = found(bolt(angle, centre=(x, y)))
    assert pose.clear
    assert math.dist(pose.centre, (x, y)) < 3
    assert abs((pose.angle - angle + 180) % 360 - 180) < 3  # head and shaft are told apart
    assert pose.length == pytest.approx(120, abs=5)


@pytest.mark.parametrize("scale", [0.5, 4])
def test_a_pose_is_in_pixels_of_its_image_whatever_its_size(scale: float) -> None:
    pose = found(bolt(30, scale=scale))
    assert math.dist(pose.centre, (100 * scale, 100 * scale)) < 3 * scale
    assert pose.length == pytest.approx(120 * scale, rel=0.05)


@settings(deadline=None, max_examples=25)
@given(angle=st.floats(-180, 180), x=st.floats(80, 120), y=st.floats(80, 120))
def test_a_part_laid_level_looks_like_one_that_lay_level(angle: float, x: float, y: float) -> None:
    level = lay_level(bolt(0), found(bolt(0)), side=160, size=64)
    image = bolt(angle, centre=(x, y))
    assert apart(lay_level(image, found(image), side=160, size=64), level) < 5


def test_the_heavier_end_lies_to_the_left() -> None:
    image = bolt(77)
    dark = np.asarray(lay_level(image, found(image), side=160, size=64))[..., 0] < 130
    columns = dark.sum(axis=0)
    assert columns[:20].max() > 1.5 * columns[30:].max()


@pytest.mark.parametrize("scale", [1, 5])
def test_a_large_image_is_laid_as_its_small_twin(scale: float) -> None:
    image = bolt(40, scale=scale)
    laid = lay_level(image, found(image), side=160 * scale, size=48)
    small = bolt(40)
    assert laid.size == (48, 48)
    assert apart(laid, lay_level(small, found(small), side=160, size=48)) < 4


def test_beyond_the_image_its_edge_goes_on_and_that_of_a_mask_does_not() -> None:
    pose = Pose(centre=(16, 16), angle=45, length=32, clear=True)
    white = Image.new("RGB", (32, 32), (255, 255, 255))
    assert np.asarray(lay_level(white, pose, side=64, size=16)).min() >= 254
    marked = np.asarray(lay_level(white.convert("L"), pose, side=64, size=16, blend=False))
    assert marked[8, 8] == 255
    assert marked[0, 0] == 0


@pytest.mark.parametrize(
    ("place", "seen"), [((8, 8), False), ((190, 12), False), ((100, 12), True), ((20, 60), True)]
)
def test_dust_in_a_corner_that_others_may_lack_is_not_seen_and_dust_by_the_part_is(
    place: tuple[int, int], seen: bool
) -> None:
    pose, dusty = found(bolt(0)), bolt(0)
    dusty.paste((0, 0, 0), (place[0], place[1], place[0] + 4, place[1] + 4))
    clean, laid = (np.asarray(lay_level(each, pose, side=SIDE, size=100), int) for each in (bolt(0), dusty))
    assert (np.abs(laid - clean).max() > 100) == seen
    assert seen or np.abs(laid - clean).max() < 10


def test_dust_at_the_edge_of_an_image_draws_no_line_across_what_lies_beyond() -> None:
    dusty = bolt(45, centre=(60, 100))
    dusty.paste((0, 0, 0), (0, 110, 3, 113))
    clean = bolt(45, centre=(60, 100))
    laid = [np.asarray(lay_level(each, found(clean), side=200, size=100), int) for each in (clean, dusty)]
    changed = np.abs(laid[1] - laid[0]).max(axis=2)
    assert (changed > 20).sum() <= 9


def test_a_part_turned_the_other_way_round_keeps_its_place() -> None:
    pose = found(bolt(20))
    other = pose.the_other_way_round()
    assert (other.centre, other.length) == (pose.centre, pose.length)
    laid, turned_round = (lay_level(bolt(20), each, side=160, size=64) for each in (pose, other))
    assert apart(laid, turned_round.rotate(180)) < 1


def disc() -> Image.Image:
    image = Image.new("RGB", (SIDE, SIDE), GROUND)
    ImageDraw.Draw(image).ellipse((60, 60, 140, 140), fill=METAL)
    return image


def two_bolts() -> Image.Image:
    return Image.fromarray(np.minimum(bolt(0, centre=(100, 40)), bolt(0, centre=(100, 160))))


def texture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    "image",
    [Image.new("RGB", (SIDE, SIDE), GROUND), disc(), Image.new("RGB", (4, 90)), Image.new("RGB", (1, 1))],
    ids=["nothing", "a disc", "a strip", "a pixel"],
)
def test_what_has_no_long_axis_has_no_pose(image: Image.Image) -> None:
    assert find_pose(image) is None


@pytest.mark.parametrize(
    "image", [two_bolts(), texture(), bolt(45, centre=(30, 30))], ids=["two parts", "texture", "a part cut off"]
)
def test_what_may_be_another_part_is_not_clear(image: Image.Image) -> None:
    pose = find_pose(image)
    assert pose is None or not pose.clear
