from typing import Any

import numpy as np
import pandas as pd
import pytest

from irp_kedro.core.anomaly_maps import AnomalyMaps, choose_images, joined
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
