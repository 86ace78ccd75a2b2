import json
import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from irp_kedro.parameters import STRATEGIES, Parameters
from irp_kedro.reporting.cell_page import CellResults, cell_page
from irp_kedro.reporting.cell_tables import detection_table
from irp_kedro.reporting.gallery import GalleryImage, as_jpeg
from irp_kedro.reporting.tables import summarise

FIGURES = (
    "training_curves",
    "scores_by_cycle",
    "strategies_compared",
    "roc_curves",
    "fpr_at_95_tpr",
    "test_score_distribution",
    "defect_types",
)
HISTORY = pd.DataFrame(
    {
        "cycle": [0, 1],
        "images": [20, 19],
        "removed": [0, 1],
        "doubtful": [0, 0],
        "doubtful_share": [0.0, 0.0],
        "variants": [0, 0],
        "stop": ["", "max_cycles (1) reached"],
    }
)
TYPES = pd.DataFrame(
    {"defect_type": ["dent"], "test_images": [4], "image_auroc": [0.75], "injected": [3], "removed": [1]}
)
REVIEW = pd.DataFrame(
    [("id9", "9" * 32, "keep", "Ada", "2026")], columns=["image_id", "digest", "decision", "who", "when"]
)


def metrics(*, labelled: bool, n_tested: int = 8, n_removed: int = 1) -> dict[str, Any]:
    image: dict[str, Any] = {"labels_known": labelled, "n_images": n_tested}
    removals: dict[str, Any] = {"n_images": 20, "n_removed": n_removed, "labels_known": labelled}
    if labelled:
        image |= {"image_auroc": 0.8, "image_auroc_interval": [0.7, 0.9], "f1": 0.5, "false_alarm_rate": 0.1}
        image |= {"fpr_at_95_tpr": 0.3, "fpr_at_95_tpr_interval": [0.2, 0.4]}
        removals |= {"bad_removed": 1, "good_removed": 0, "bad_left": 2, "precision": 1.0}
    return {
        "image": image,
        "removals": removals,
        "achieved_contamination": 0.15 if labelled else None,
        "loop": {"cycles": 1},
        "cost": {"refinement_seconds": 1.0},
    }


def shown(name: str, group: str, **changed: Any) -> GalleryImage:
    values: dict[str, Any] = {
        "group": group,
        "place": 1,
        "image_id": name,
        "digest": name * 32,
        "name": f"<b>{name}.png",
        "cycle": 1 if group == "removed" else None,
        "score": 3.0,
        "threshold": 2.0,
        "judge": "gaussian",
        "label": "anomalous",
        "defect_type": "dent",
        "thumbnail": as_jpeg(np.zeros((8, 8, 3), dtype=np.uint8), 8),
    }
    return GalleryImage(**values | changed)


def lineage() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "cycle": [0, 1],
            "images": [20, 19],
            "removed": [0, 1],
            "tree": ["aa.dir", "bb.dir"],
            "model": ["", "cc"],
            "run": "r",
            "parameters": "p",
            "source_manifest": "s",
            "contamination_record": "c",
            "feature_bank": "f",
            "review": "reviewed",
            "code_revision": "abc",
            "code_changed": True,
            "code": "d",
            "device": "cpu",
            "versions": [{"python": "3"}] * 2,
        }
    )


def page_of(
    *,
    labelled: bool = True,
    gallery: list[GalleryImage] | None = None,
    review: pd.DataFrame = REVIEW,
    n_tested: int = 8,
    n_removed: int = 1,
    history: pd.DataFrame = HISTORY,
    aligned: bool = False,
    **raw: Any,
) -> str:
    measured = {name: metrics(labelled=labelled, n_tested=n_tested, n_removed=n_removed) for name in STRATEGIES}
    measured["oracle"] = {"available": False}
    parameters = Parameters.model_validate(raw).model_dump(mode="json")
    figures = {
        name: SimpleNamespace(name=name, title=name, alt="x", svg="<svg/>", plotly={"data": ["</script>"]})
        for name in FIGURES
    }
    return cell_page(
        CellResults(
            summary=summarise(parameters, measured),
            parameters=parameters,
            metrics=measured,
            types=dict.fromkeys(STRATEGIES, TYPES if labelled else TYPES.iloc[:0]),
            history=history,
            lineage=lineage(),
            gallery=[shown("a", "removed"), shown("b", "stayed")] if gallery is None else gallery,
            review=review,
            figures=figures,
            aligned=aligned,
        )
    )


def words(page: str) -> str:
    body = page[page.index("<body>") : page.index('id="review-state"')]
    return re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", body))


def test_a_reader_finds_headline_gallery_loop_detector_lineage_and_cost() -> None:
    page = page_of()
    assert re.findall(r'<section id="(\w+)"', page) == [
        "removed", "near", "loop", "detector", "lineage", "cost", "settings"
    ]  # fmt: skip
    told = words(page)
    for part in (
        "removed 1 of 20 training images",
        "Right: a defect (dent)",
        "Missed: a defect (dent)",
        "It ended: max_cycles (1) reached",
        "bb.dir",
        "abc (changed since)",
        "refinement.mad_factor",
    ):
        assert part in told, part


def test_each_figure_of_the_catalog_is_shown_once() -> None:
    page = page_of()
    assert re.findall(r'<figure id="(\w+)"', page) == [
        "scores_by_cycle", "training_curves", "strategies_compared", "roc_curves", "fpr_at_95_tpr",
        "test_score_distribution", "defect_types",
    ]  # fmt: skip


def test_without_labels_nothing_says_right_or_wrong_and_labelled_figures_are_left_out() -> None:
    unknown = [shown("a", "removed", label="unknown", defect_type=""), shown("b", "stayed", label="unknown")]
    page = page_of(labelled=False, gallery=unknown)
    told = words(page)
    assert not re.search("Right:|Wrong:|Missed:", told)
    assert "only a person can say" in told
    drawn = re.findall(r'<figure id="(\w+)"', page)
    assert "roc_curves" not in drawn
    assert "test_score_distribution" in drawn  # scores need no label
    assert "test_score_distribution" not in page_of(labelled=False, gallery=unknown, n_tested=0)


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("gallery", [None, []])
def test_every_section_table_and_figure_names_the_entries_that_it_shows(
    labelled: bool, gallery: list[GalleryImage] | None
) -> None:
    page = page_of(labelled=labelled, gallery=gallery)
    for part in ("section", "table", "figure"):
        found = re.findall(f"<{part}[ >].*?</{part}>", page, re.DOTALL)
        assert found
        assert all('class="entry"' in content for content in found), part
    strategies = re.search("Strategies side by side.*?</caption>", page)
    assert strategies is None or [f"{name}.metrics" in strategies[0] for name in STRATEGIES] == [True] * 3


def test_where_places_were_measured_the_page_says_what_their_figures_depend_on() -> None:
    measured = pd.DataFrame({"strategy": ["vanilla", "oracle"], "pixel_auroc": [0.9, None]})
    assert "a map rises with the score" in detection_table(measured).caption
    assert "a map rises with the score" not in page_of()


def test_each_metric_has_its_interval() -> None:
    page = page_of()
    table = re.search("<caption>95 % bootstrap intervals.*?</table>", page, re.DOTALL)
    assert table is not None
    told = words(f"<body>{table[0]}" + 'id="review-state"')
    assert "image AUROC" in told
    assert "FPR at 95 % TPR" in told
    assert told.count("0.700 to 0.900") == told.count("0.200 to 0.400") == 3


def test_the_command_for_a_review_carries_the_parameters_of_the_cell() -> None:
    page = page_of(seed=4, contamination={"level": 0.3})
    assert "kedro run --params contamination.level=0.3,refinement.review=review.csv,seed=4" in words(page)
    assert "cannot carry" not in words(page)
    scaled = words(page_of(features={"scales": [1.0, 0.75, 0.5]}))
    assert "cannot carry features.scales: [1.0, 0.75, 0.5] : put it into" in scaled


def test_names_and_data_cannot_become_part_of_the_page() -> None:
    page = page_of()
    assert "<b>a.png" not in page
    assert "&lt;b&gt;a.png" in page
    assert '["</script>"]' not in page


def test_nothing_removed_and_nobody_near_is_a_page_too() -> None:
    told = words(page_of(gallery=[], n_removed=0))
    assert "Nothing left the set. Catalog:" in told
    assert "none is near a threshold" in told


def test_where_nothing_left_but_images_are_in_doubt_the_page_says_to_look_at_them() -> None:
    gallery = [shown("b", "stayed", doubtful=True)]
    told = words(page_of(gallery=gallery, n_removed=0))
    assert "Nothing left the set. Where a large part of a set is defective" in told


def test_a_page_that_was_asked_to_show_no_removal_does_not_say_that_nothing_left() -> None:
    assert "Nothing left the set" not in words(page_of(gallery=[shown("b", "stayed", doubtful=True)]))


def test_a_review_that_was_honoured_is_told_and_carried_on() -> None:
    page = page_of()
    assert "This run honoured a review: 1 keep" in words(page)
    state = re.search(r'id="review-state">(.*?)</script>', page)
    assert state is not None
    assert json.loads(state.group(1))["earlier"] == REVIEW.to_dict("records")
    assert "honoured a review" not in words(page_of(review=REVIEW.iloc[:0]))


def test_an_image_that_a_person_removed_has_no_bar() -> None:
    reviewed = shown("a", "removed", score=None, threshold=None, cycle=0, judge="review")
    page = page_of(gallery=[reviewed])
    assert "Left in cycle 0, by review" in words(page)
    assert 'class="bar"' not in page


def test_an_image_that_left_for_what_it_resembles_says_so() -> None:
    page = page_of(gallery=[shown("a", "removed", cycle=2, judge="resemblance")])
    assert "Left in cycle 2, as it resembles others that left" in words(page)


def test_an_image_that_only_the_judge_of_colour_found_says_so() -> None:
    page = page_of(gallery=[shown("a", "removed", cycle=1, judge="colour_memory")])
    assert "Left in cycle 1, for its colour" in words(page)


@pytest.mark.parametrize(("dataset", "told"), [("mvtec_ad", True), ("sample", False)])
def test_defects_from_another_acquisition_are_named_where_the_set_has_them(dataset: str, told: bool) -> None:
    page = page_of(dataset={"name": dataset})
    assert ("photographed with the test images" in words(page)) is told


@pytest.mark.parametrize("aligned", [True, False])
def test_the_page_says_that_parts_were_laid_level_where_they_were(aligned: bool) -> None:
    assert ("Every part is laid level before" in words(page_of(aligned=aligned))) is aligned


@pytest.mark.parametrize(
    ("dataset", "called"),
    [
        ({"name": "sample"}, "sample"),
        ({"name": "mvtec_ad", "product_class": "metal_nut"}, "mvtec ad metal nut"),
        ({"name": "image_folder", "path": "/line_3/gear_wheels"}, "gear wheels"),
        ({"name": "image_folder", "path": "/line_3", "product_class": "gear"}, "gear"),
    ],
)
def test_the_title_says_which_set_it_is(dataset: dict[str, str], called: str) -> None:
    assert f"<h1>What left the training set: {called}</h1>" in page_of(dataset=dataset)


def test_fewer_images_than_left_are_said_to_be_the_first_ones() -> None:
    assert "The first 0 of 1 are shown" in words(page_of(gallery=[shown("b", "stayed")]))


def whose_map(*judges: str, **image: Any) -> str:
    page = page_of(gallery=[shown("a", "removed", heat="x", **image)], refinement={"judge": judges})
    return words(page)


def test_the_page_says_whose_map_it_shows_and_whether_that_detector_decided() -> None:
    judged = whose_map("patch_memory", "gaussian", heat_of="patch_memory", heat_by_judge=True)
    assert "Map: patch_memory, judge" in judged
    assert "that of patch_memory, a judge: bright where" in judged
    assert "The score joins it with gaussian, which the map does not show" in judged
    trained = whose_map("gaussian", heat_of="differnet")
    assert "Map: differnet, trained detector" in trained
    assert "not that of gaussian, which decided and cannot say where" in trained
    assert "which judged and was trained" in whose_map("differnet", heat_of="differnet")
    assert "There are no heat maps" in words(page_of())


def test_the_page_says_whose_map_those_have_that_one_judge_alone_found() -> None:
    by_colour, by_patches = (
        shown(name, "removed", heat="x", heat_of=judge, heat_by_judge=True)
        for name, judge in (("a", "colour_memory"), ("b", "patch_memory"))
    )
    judges = ["patch_memory", "gaussian", "colour_memory"]
    told = words(page_of(gallery=[by_colour, by_patches], refinement={"judge": judges}))
    assert "The heat map is that of patch_memory, a judge" in told
    assert "What colour_memory alone found has the map of colour_memory." in told
    assert "The score joins it with gaussian, which the map does not show" in told


@pytest.mark.parametrize(("shown_ones", "listed"), [(1, ", of which 1 are shown here"), (2, "")])
def test_images_in_doubt_are_marked_and_the_page_says_what_became_of_them(shown_ones: int, listed: str) -> None:
    gallery = [shown(name, "stayed", doubtful=True) for name in "bc"[:shown_ones]]
    history = HISTORY.assign(doubtful=[0, 2], doubtful_share=[0.0, 0.025])
    told = words(page_of(gallery=gallery, history=history))
    assert f"Of the images that stayed, 2 are in doubt{listed}: they are part of the refined set" in told
    assert "each took part in 2.5 % of the epochs" in told
    assert "with 8 or more examples of what leaves" in told
    alone = words(page_of(gallery=gallery, history=history, refinement={"resemblance": False}))
    assert "what you mark as remove leaves. " in alone
    assert told.count("In doubt: trained on seldom") == shown_ones


@pytest.mark.parametrize(("shown_ones", "listed"), [(1, " The first 1 are shown."), (2, "")])
def test_images_of_a_variant_are_shown_and_a_person_is_asked(shown_ones: int, listed: str) -> None:
    gallery = [shown(name, "variant", score=None, threshold=None) for name in "bc"[:shown_ones]]
    page = page_of(gallery=gallery, history=HISTORY.assign(variants=[0, 2]))
    told = words(page)
    assert "2 images look like each other as normal images do" in told
    assert f"They stay, and are trained on.{listed} If they are a fault" in told
    assert page.count('class="review"') == shown_ones
    assert '<a href="#variants">' in page


def test_where_there_is_no_variant_the_page_does_not_speak_of_one() -> None:
    page = page_of()
    assert 'href="#variants"' not in page
    assert "Unusual, and alike" not in page


def test_where_nobody_is_in_doubt_the_page_does_not_speak_of_doubt() -> None:
    told = words(page_of())
    assert "are in doubt" not in told
    assert "trained on seldom" not in told


def test_an_image_that_came_back_says_when_it_was_away() -> None:
    once, twice = (words(page_of(gallery=[shown("b", "stayed", away=away)])) for away in ((1, 3), (1, 2, 3, 4)))
    assert "Left in cycle 1, came back in cycle 3 " in once
    assert "Left in cycle 1, came back in cycle 2, left in cycle 3, came back in cycle 4 " in twice


@pytest.mark.parametrize(("scores", "threshold"), [((-3.0, -1.0), -2.0), ((-1.0, 3.0), 2.0)])
def test_bars_tell_negative_scores_apart(scores: tuple[float, float], threshold: float) -> None:
    cards = [shown("ab"[n], "removed", score=score, threshold=threshold) for n, score in enumerate(scores)]
    page = page_of(gallery=cards)
    low, high = (float(width) for width in re.findall(r'<i style="width:([0-9.]+)%">', page))
    (line, _) = (float(left) for left in re.findall(r'<b style="left:([0-9.]+)%">', page))
    assert 0 < low < line < high == 100


def test_one_far_outlier_does_not_flatten_the_bars_of_the_others() -> None:
    page = page_of(gallery=[shown("a", "removed", score=100.0), shown("b", "removed", score=4.0)])
    assert re.findall(r'<i style="width:([0-9.]+)%">', page) == ["100.0", "50.0"]
    assert re.findall(r'<b style="left:([0-9.]+)%">', page) == ["25.0", "25.0"]
