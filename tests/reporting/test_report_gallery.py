import base64
import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from irp_kedro.core.anomaly_maps import AnomalyMaps, side_by_side
from irp_kedro.core.evaluation import nearly_removed, of_variants
from irp_kedro.core.records import LOG_COLUMNS
from irp_kedro.reporting.gallery import (
    NEAR,
    REMOVED,
    VARIANT,
    GalleryImage,
    HeatMaps,
    as_jpeg,
    choose_removed,
    contact_sheet,
    cycles_away,
    show,
)


def log(*rows: tuple[int, str, str, float | None]) -> pd.DataFrame:
    table = [
        {**dict.fromkeys(LOG_COLUMNS, ""), "cycle": cycle, "action": action, "image_id": image, "score": score}
        | {"digest": image * 32, "path": f"/set/good/{image}.png", "threshold": 2.0, "judge": "gaussian"}
        for cycle, action, image, score in rows
    ]
    return pd.DataFrame(table, columns=list(LOG_COLUMNS))


def suspicion(**images: tuple[float, bool, str]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "image_id": name,
                "digest": name * 32,
                "path": f"/set/good/{name}.png",
                "label": label,
                "defect_type": "dent" if label == "anomalous" else "",
                "removed": removed,
                "variant": False,
                "score": score,
            }
            for name, (score, removed, label) in images.items()
        ]
    )


RANKING = suspicion(
    a=(5.0, True, "anomalous"), b=(4.0, True, "normal"), c=(1.9, False, "anomalous"), d=(1.0, False, "normal")
)
LOG = log(
    (1, "removed", "a", 5.0), (1, "removed", "d", 3.0), (2, "removed", "b", 4.0), (3, "restored", "d", 1.0)
)
HISTORY = pd.DataFrame({"threshold": [np.nan, 2.0, 2.1]})


def pixels(digest: str) -> np.ndarray:
    return np.full((64, 64, 3), ord(digest[0]), dtype=np.uint8)


def test_the_removed_are_those_that_are_out_in_the_order_they_left() -> None:
    assert choose_removed(LOG, RANKING, most=5)["image_id"].tolist() == ["a", "b"]
    assert choose_removed(LOG, RANKING, most=1)["image_id"].tolist() == ["a"]


def test_the_near_ones_stayed_and_are_held_against_the_last_threshold() -> None:
    near = nearly_removed(RANKING, HISTORY, most=5)
    assert near["image_id"].tolist() == ["c", "d"]
    assert set(near["threshold"]) == {2.1}


def test_images_of_a_variant_are_shown_apart_and_without_a_score() -> None:
    ranking = RANKING.assign(variant=[False, False, True, True])
    assert nearly_removed(ranking, HISTORY, most=5).empty
    rows = of_variants(ranking, most=5)
    shown = show(rows, VARIANT, pixels, HeatMaps(), side=32, away=cycles_away(LOG))
    assert [(image.image_id, image.score, image.threshold, image.away) for image in shown] == [
        ("c", None, None, ()),
        ("d", None, None, (1, 3)),
    ]
    assert [image.verdict for image in shown] == ["missed: a defect (dent)", "right: a good image"]
    assert of_variants(ranking, most=1)["image_id"].tolist() == ["c"]


def test_where_nobody_judged_nothing_is_near() -> None:
    assert nearly_removed(RANKING, pd.DataFrame({"threshold": [np.nan]}), most=5).empty


def verdicts(label: str) -> list[tuple[str, bool | None]]:
    ranking = RANKING.assign(label=label, defect_type="dent" if label == "anomalous" else "")
    removed = show(choose_removed(LOG, ranking, most=1), REMOVED, pixels, HeatMaps(), side=32)
    near = show(nearly_removed(ranking, HISTORY, most=1), NEAR, pixels, HeatMaps(), side=32)
    return [(image.verdict, image.is_right) for image in (*removed, *near)]


def test_right_and_wrong_are_told_where_labels_are_known() -> None:
    assert verdicts("anomalous") == [("right: a defect (dent)", True), ("missed: a defect (dent)", False)]
    assert verdicts("normal") == [("wrong: a good image", False), ("right: a good image", True)]
    assert verdicts("unknown") == [("", None), ("", None)]


def test_a_thumbnail_is_the_prepared_image_made_small() -> None:
    (image, _) = show(choose_removed(LOG, RANKING, most=2), REMOVED, pixels, HeatMaps(), side=32)
    with Image.open(io.BytesIO(base64.b64decode(image.thumbnail))) as thumbnail:
        assert thumbnail.size == (32, 32)
        assert np.asarray(thumbnail).mean() == pytest.approx(ord("a"), abs=2)
    assert (image.name, image.cycle, image.score, image.threshold) == ("good/a.png", 1, 5.0, 2.0)


def test_a_thumbnail_of_an_oblong_has_its_shape_and_the_area_of_the_others() -> None:
    with Image.open(io.BytesIO(base64.b64decode(as_jpeg(np.zeros((256, 64, 3), np.uint8), 32)))) as thumbnail:
        assert thumbnail.size == (16, 64)


def test_what_a_person_removed_has_no_score() -> None:
    reviewed = log((0, "removed", "a", None)).assign(threshold=None, judge="review")
    (image,) = show(choose_removed(reviewed, RANKING, most=1), REMOVED, pixels, HeatMaps(), side=32)
    assert (image.score, image.threshold, image.judge) == (None, None, "review")


def test_only_images_with_a_map_show_one() -> None:
    rows = choose_removed(LOG, RANKING, most=2)
    with_map, without = show(
        rows, REMOVED, pixels, HeatMaps(maps={"a": np.ones((4, 4))}, whose={"a": "gaussian"}), side=32
    )
    assert with_map.heat
    assert (with_map.heat_of, with_map.heat_by_judge) == ("gaussian", False)
    assert (without.heat, without.heat_of) == ("", "")


def maps_of(detector: str, *image_ids: str) -> AnomalyMaps:
    values = np.ones((len(image_ids), 2, 2), np.float16)
    return AnomalyMaps(image_ids=image_ids, maps=values, method="patches", detector=detector)


def test_the_map_shown_is_that_of_the_judge_who_decided_and_the_trained_detectors_only_where_it_has_none() -> (
    None
):
    trained = maps_of("differnet", "a", "b", "test")
    judged = HeatMaps.choose(["a", "b"], maps_of("patch_memory", "a", "b"), trained)
    assert sorted(judged.maps) == ["a", "b"]
    assert (judged.whose, judged.by_judge) == ({"a": "patch_memory", "b": "patch_memory"}, True)
    fallen_back = HeatMaps.choose(["a", "b"], AnomalyMaps.empty(), trained)
    assert sorted(fallen_back.maps) == ["a", "b"]
    assert (fallen_back.whose, fallen_back.by_judge) == ({"a": "differnet", "b": "differnet"}, False)


def test_the_map_of_an_image_says_which_of_two_judges_made_it() -> None:
    both = side_by_side(maps_of("patch_memory", "a"), maps_of("colour_memory", "b"))
    heat = HeatMaps.choose(["a", "b"], both, AnomalyMaps.empty())
    shown = show(choose_removed(LOG, RANKING, most=2), REMOVED, pixels, heat, side=32)
    assert {image.image_id: image.heat_of for image in shown} == {"a": "patch_memory", "b": "colour_memory"}


def test_an_image_that_left_and_came_back_says_so_among_those_that_stayed() -> None:
    assert cycles_away(LOG) == {"d": (1, 3)}
    near = show(
        nearly_removed(RANKING, HISTORY, most=2), NEAR, pixels, HeatMaps(), side=32, away=cycles_away(LOG)
    )
    assert {image.image_id: image.away for image in near} == {"c": (), "d": (1, 3)}


@pytest.mark.parametrize("n_images", [0, 1, 9])
def test_a_contact_sheet_holds_every_image(n_images: int) -> None:
    (image,) = show(choose_removed(LOG, RANKING, most=1), REMOVED, pixels, HeatMaps(), side=32)
    images: list[GalleryImage] = [image] * n_images
    with Image.open(io.BytesIO(contact_sheet(images))) as sheet:
        assert sheet.size == (min(8, max(1, n_images)) * 104, (2 if n_images > 8 else 1) * 104)
