import numpy as np

from irp_kedro.features.heat_map import coloured, overlaid, scaled

GREY = np.full((8, 8, 3), 128, np.uint8)


def test_a_flat_scale_shows_nothing() -> None:
    assert scaled(np.ones((2, 2)), 1.0, 1.0).tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_brightness_rises_with_the_value_so_that_it_reads_without_colour() -> None:
    brightness = coloured(np.linspace(0, 1, 32)[None]).astype(int)[0] @ [299, 587, 114]
    assert (np.diff(brightness) > 0).all()


def test_where_a_map_is_low_the_image_stays_as_it_is() -> None:
    np.testing.assert_array_equal(overlaid(GREY, np.zeros((2, 2))), GREY)


def test_a_coarse_map_is_laid_over_the_whole_image_at_its_place() -> None:
    share = np.zeros((4, 4))
    share[0, 3] = 1.0
    changed = np.abs(overlaid(GREY, share).astype(int) - 128).sum(axis=2)
    assert np.unravel_index(changed.argmax(), changed.shape) in {(0, 7), (0, 6), (1, 7), (1, 6)}
    assert (changed[4:, :4] == 0).all()
