"""Maps of a judge, from real features of images drawn here."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from irp_kedro.core.anomaly_maps import AnomalyMaps
from irp_kedro.core.detector import BlindSet
from irp_kedro.core.judging import Apart
from irp_kedro.detectors.registry import detector_type
from irp_kedro.inspection import Inspected
from irp_kedro.judge_maps import map_judgement, mapping_judge
from irp_kedro.judges import LoopSettings
from irp_kedro.parameters import (
    FlowParameters,
    PatchParameters,
    RefinementParameters,
    TrainingParameters,
    ViewParameters,
)

ODD = "id19"
SETTINGS = LoopSettings(
    detector="differnet",
    refinement=RefinementParameters(judge=("gaussian", "patch_memory")),
    training=TrainingParameters(),
    flow=FlowParameters(),
    views=ViewParameters(bank=4, train=4, score=4),
    patches=PatchParameters(size=64, per_image=4, references=20, worst=1),
    seed=0,
    device="cpu",
)


def manifest(surfaces: Any) -> pd.DataFrame:
    ids = [f"id{number}" for number in range(len(surfaces.digests))]
    return pd.DataFrame({"image_id": ids, "digest": surfaces.digests, "label": "unknown"})


def seen(surfaces: Any) -> Inspected:
    return Inspected(bank=surfaces.bank, patches=surfaces.patches, images=surfaces.images, device="cpu")


def maps_of(
    surfaces: Any, *suspects: str, settings: LoopSettings = SETTINGS, training: pd.DataFrame | None = None
) -> AnomalyMaps:
    training = manifest(surfaces) if training is None else training
    kept = [image for image in training["image_id"] if image != ODD]
    return map_judgement(training, kept, suspects, seen(surfaces), settings)


def test_the_map_of_a_removed_image_points_at_what_is_odd_and_says_whose_it_is(surfaces: Any) -> None:
    maps = maps_of(surfaces, ODD, "id0")
    assert (maps.image_ids, maps.method, maps.detector) == ((ODD, "id0"), "patches", "patch_memory")
    grid = maps.of(ODD)
    row, column = np.unravel_index(grid.argmax(), grid.shape)
    assert row >= grid.shape[0] / 2
    assert column < grid.shape[1] / 2
    assert grid.max() > maps.of("id0").max()


def test_a_map_holds_the_score_that_the_judge_of_the_loop_gives_against_the_final_set(surfaces: Any) -> None:
    training = manifest(surfaces)
    blind = BlindSet.of(training, seed=SETTINGS.seed)
    row_of = {image: row for row, image in enumerate(blind.image_ids)}
    pairs = zip(training["image_id"], surfaces.features("patch_memory"), strict=True)
    features = sorted(pairs, key=lambda pair: row_of[pair[0]])
    judge = detector_type("patch_memory")(
        surfaces.features("patch_memory").new_tensor(np.stack([values.numpy() for _, values in features])),
        SETTINGS.detector_settings,
        "judge",
    )
    rows = np.array([row for image, row in row_of.items() if image != ODD])
    outside = np.array([row_of[ODD]])
    scores = Apart(judge.fresh, 1).judge(rows, cycle=4, outside=outside)
    expected = dict(zip([blind.image_ids[row] for row in (*rows, *outside)], scores, strict=True))
    maps = maps_of(surfaces, ODD, "id3", "id7")
    for image in maps.image_ids:  # patches.worst is 1: the score is the highest excess
        assert float(maps.of(image).max()) == pytest.approx(expected[image], abs=2e-3)


def test_an_image_that_stayed_does_not_vouch_for_itself(surfaces: Any) -> None:
    training, everyone = manifest(surfaces), list(manifest(surfaces)["image_id"])
    with_itself, without = (
        map_judgement(training, kept, [ODD], seen(surfaces), SETTINGS)
        for kept in (everyone, [image for image in everyone if image != ODD])
    )
    assert with_itself.of(ODD).max() > 0
    assert with_itself.of(ODD).max() == pytest.approx(without.of(ODD).max(), rel=0.25)


def test_paths_and_labels_change_no_map(surfaces: Any) -> None:
    told = manifest(surfaces).assign(label="anomalous", path="elsewhere", defect_type="dent").iloc[::-1]
    np.testing.assert_array_equal(maps_of(surfaces, ODD).maps, maps_of(surfaces, ODD, training=told).maps)


@pytest.mark.parametrize("judge", [("gaussian",), ("isolation_forest",), ("soft_patch",), ()])
def test_where_no_judge_scores_places_there_is_no_map(surfaces: Any, judge: tuple[str, ...]) -> None:
    told = replace(SETTINGS, refinement=RefinementParameters(judge=judge))
    assert mapping_judge(told.judges) == ""
    assert len(maps_of(surfaces, ODD, settings=told)) == 0


COLOURED = replace(
    SETTINGS, refinement=RefinementParameters(judge=("gaussian", "patch_memory", "colour_memory"))
)


def test_an_image_that_only_the_judge_of_colour_found_has_the_map_of_that_judge(surfaces: Any) -> None:
    training = manifest(surfaces)
    kept = [image for image in training["image_id"] if image != ODD]
    found = {ODD: "colour_memory", "id3": "patch_memory+gaussian+colour_memory"}
    maps = map_judgement(training, kept, ["id3", ODD], seen(surfaces), COLOURED, found_by=found)
    assert {image: maps.whose(image) for image in ("id3", ODD)} == {"id3": "patch_memory", ODD: "colour_memory"}
    grid = maps.of(ODD)
    row, column = np.unravel_index(grid.argmax(), grid.shape)
    assert row >= grid.shape[0] / 2
    assert column < grid.shape[1] / 2


def test_a_judge_that_is_not_asked_is_no_longer_believed(surfaces: Any) -> None:
    training = manifest(surfaces)
    kept = [image for image in training["image_id"] if image != ODD]
    maps = map_judgement(training, kept, [ODD], seen(surfaces), SETTINGS, found_by={ODD: "colour_memory"})
    assert maps.whose(ODD) == "patch_memory"


def test_where_nobody_is_suspect_no_features_are_read() -> None:
    nothing = Inspected(bank=None, patches=None, images=None, device="cpu")  # type: ignore[arg-type]
    assert len(map_judgement(pd.DataFrame(), [], [], nothing, SETTINGS)) == 0
