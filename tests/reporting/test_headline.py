from typing import Any

import pytest

from irp_kedro.reporting.headline import facts, headline

UNKNOWN = {"labels_known": False, "n_images": 0}
NO_ORACLE = {"available": False}


def metrics(auroc: float | None, removed: int = 0, bad: int = 0, bad_left: int = 0) -> dict[str, Any]:
    image = (
        UNKNOWN
        if auroc is None
        else {
            "image_auroc": auroc,
            "image_auroc_interval": [auroc - 0.1, auroc + 0.1],
            "f1": 0.5,
            "false_alarm_rate": 0.05,
        }
    )
    removals: dict[str, Any] = {"n_images": 20, "n_removed": removed, "labels_known": auroc is not None}
    if auroc is not None:
        removals |= {"bad_removed": bad, "good_removed": removed - bad, "bad_left": bad_left}
    return {"image": image, "removals": removals}


def test_a_reader_learns_what_left_how_contaminated_the_set_was_and_what_that_did() -> None:
    oracle = {"available": True, "image": metrics(0.85)["image"]}
    removals, detection = headline(metrics(0.7), metrics(0.8, removed=4, bad=3, bad_left=1), oracle)
    assert removals == (
        "Iterative refinement removed 4 of 20 training images: 3 defects and 1 good image. "
        "The share of defects in the set went from 20.0 % to 6.2 %."
    )
    assert detection == (
        "On the frozen test split, image AUROC rose from 0.700 (95 % interval 0.600 to 0.800) to 0.800 "
        "(95 % interval 0.700 to 0.900); trained on the truly clean set it is 0.850 "
        "(95 % interval 0.750 to 0.950)."
    )


STAYED = {
    "stayed in doubt": ("n_doubtful", "bad_doubtful", "trained on seldom"),
    "stayed as a variant": ("n_variants", "bad_variants", "please look"),
}


@pytest.mark.parametrize("name", STAYED)
@pytest.mark.parametrize("auroc", [0.8, None])
def test_who_stayed_in_doubt_or_as_a_variant_is_a_fact_where_there_is_any(
    name: str, auroc: float | None
) -> None:
    counted, defects, without_labels = STAYED[name]
    refined = metrics(auroc)
    assert name not in {fact.name for fact in facts(metrics(auroc), refined)}
    refined["removals"] |= {counted: 5, defects: 3}
    (fact,) = [fact for fact in facts(metrics(auroc), refined) if fact.name == name]
    assert (fact.value, fact.note) == ("5", "3 of them defects" if auroc else without_labels)


def test_a_loss_is_called_one() -> None:
    _, detection = headline(metrics(0.8), metrics(0.7), {"available": False})
    assert "fell from 0.800" in detection
    assert "truly clean" not in detection


@pytest.mark.parametrize(("was", "now"), [(0.8, 0.8), (0.8001, 0.8002)])
def test_what_a_reader_sees_no_change_of_stayed(was: float, now: float) -> None:
    _, detection = headline(metrics(was), metrics(now), NO_ORACLE)
    assert detection == (
        "On the frozen test split, image AUROC stayed at 0.800 (95 % interval 0.700 to 0.900)."
    )


@pytest.mark.parametrize(("bad", "kind"), [(0, "good"), (9, "defects")])
def test_labelled_images_of_one_kind_are_not_called_unlabelled(bad: int, kind: str) -> None:
    image = {"labels_known": True, "n_images": 9, "n_normal": 9 - bad, "n_anomalous": bad, "image_auroc": None}
    one_kind = {**metrics(0.5), "image": image}
    _, detection = headline(one_kind, one_kind, NO_ORACLE)
    assert detection.startswith(f"All 9 test images are {kind}, so how well")


def test_nothing_removed_is_said_plainly() -> None:
    removals, _ = headline(metrics(0.8), metrics(0.8, bad_left=5), {"available": False})
    assert removals == "Iterative refinement removed 0 of 20 training images; 25.0 % of them are defects."


def test_without_labels_it_says_what_nobody_knows() -> None:
    removals, detection = headline(metrics(None), metrics(None, removed=2), {"available": False})
    assert "removed 2 of 20" in removals
    assert "only a person can say" in removals
    assert "unknown" in detection
    assert [fact.name for fact in facts(metrics(None), metrics(None, removed=2))] == ["removed"]


def test_facts_are_the_same_numbers() -> None:
    shown = {fact.name: fact.value for fact in facts(metrics(0.7), metrics(0.8, removed=4, bad=3, bad_left=1))}
    assert shown["of them defects"] == "3"
    assert shown["contamination"] == "20.0 % → 6.2 %"
    assert shown["image AUROC"] == "0.700 → 0.800"
