from typing import Any

import numpy as np
import pandas as pd
import pytest

from irp_kedro.core.anomaly_maps import AnomalyMaps, choose_images, joined, side_by_side
from irp_kedro.errors import IncompleteRunError
from irp_kedro.parameters import EvaluationParameters


def maps_of(*image_ids: str) -> AnomalyMaps:
    values = np.arange(len(image_ids), dtype=np.float16)[:, None, None] * np.ones((1, 2, 3), np.float16)
    return AnomalyMaps(image_ids=image_ids, maps=values, method="gradient")


def test_a_map_is_found_by_the_id_of_its_image() -> None:
    found = maps_of("a", "b").of("b")
    assert (found.shape, found.dtype) == ((2, 3), np.float32)
    assert (found == 1).all()


def test_an_image_without_a_map_is_explained() -> None:
    maps = maps_of("a")
    assert "c" not in maps
    with pytest.raises(IncompleteRunError, match=r"evaluation\.map_images"):
        maps.of("c")


def test_no_maps_have_no_images() -> None:
    nothing = AnomalyMaps.empty()
    assert (len(nothing), nothing.maps.size, nothing.method) == (0, 0, "none")
    assert joined([], [], "patches", "gaussian").method == "none"


def test_parts_are_joined_in_order() -> None:
    parts = [maps_of("a", "b").maps, maps_of("a").maps]
    whole = joined(["x", "y", "z"], parts, "patches", "patch_memory")
    assert whole.detector == "patch_memory"
    assert [whole.of(name)[0, 0] for name in "xyz"] == [0, 1, 0]


LOG = pd.DataFrame(
    {
        "cycle": [1, 1, 2],
        "action": ["removed", "removed", "restored"],
        "image_id": ["r", "s", "s"],
        "digest": ["0r", "0s", "0s"],
    }
)
TEST = pd.DataFrame({"image_id": list("abcd"), "digest": ["0a", "0b", "0c", "0d"], "mask_path": ""})
SCORES = pd.DataFrame({"image_id": list("dcba"), "score": [4.0, 1.0, 2.0, 3.0]})


def chosen(test: pd.DataFrame, **asked: Any) -> dict[str, str]:
    return choose_images(LOG, test, SCORES, EvaluationParameters(**asked))


def test_without_masks_the_removed_and_the_most_anomalous_test_images_get_maps() -> None:
    assert chosen(TEST, maps="all", map_images=2) == {"r": "0r", "a": "0a", "d": "0d"}


def test_every_test_image_gets_a_map_where_there_are_masks() -> None:
    masked = TEST.assign(mask_path=["", "", "mask.png", ""])
    assert list(chosen(masked, maps="all", map_images=2)) == ["r", "a", "b", "c", "d"]


def test_maps_of_test_images_or_all_of_them_can_be_left_out() -> None:
    assert chosen(TEST, maps="removed") == {"r": "0r"}
    assert chosen(TEST, maps="none") == {}


def by(detector: str, peaks: dict[str, float], side: int) -> AnomalyMaps:
    """Return maps of 0 with the peak at the top left."""
    maps = np.zeros((len(peaks), side, side), np.float16)
    maps[:, 0, 0] = list(peaks.values())
    return AnomalyMaps(image_ids=tuple(peaks), maps=maps, method="patches", detector=detector)


def test_maps_of_two_detectors_share_a_grid_and_a_scale_and_say_whose_they_are() -> None:
    main, other = (
        by("patch_memory", {"a": 1.0, "b": 3.0, "c": 2.0}, 2),
        by("colour_memory", {"d": 8.0, "e": 16.0}, 4),
    )
    both = side_by_side(main, other)
    assert [both.whose(image) for image in "abcde"] == ["patch_memory"] * 3 + ["colour_memory"] * 2
    assert [float(both.of(image).max()) for image in "abcde"] == pytest.approx(
        [1, 3, 2, 8 / 6, 16 / 6], rel=1e-3
    )
    assert both.of("a").tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    assert np.argwhere(both.of("d")).tolist() == [[0, 0]]


@pytest.mark.parametrize("level", [0.0, -1.0])
def test_maps_without_a_peak_are_not_stretched(level: float) -> None:
    both = side_by_side(by("one", {"a": level}, 2), by("other", {"b": 5.0}, 2))
    assert both.of("b").max() == 5


def test_beside_no_maps_the_others_stay_as_they_are() -> None:
    one = by("one", {"a": 1.0}, 2)
    assert side_by_side(one, AnomalyMaps.empty()) is one
    assert side_by_side(AnomalyMaps.empty(), one) is one
    assert one.whose("a") == "one"
