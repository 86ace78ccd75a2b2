import math
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from irp_kedro.core.records import LOG_COLUMNS, cycle_history, last_scores, removal_log
from irp_kedro.core.refinement import RefinementCycle
from irp_kedro.core.removal import Decision

MANIFEST = pd.DataFrame({"image_id": ["c", "b", "a"], "path": ["3.png", "2.png", "1.png"]})


def decision(cycle: int, image_id: str, score: float) -> Decision:
    return Decision(
        cycle=cycle,
        action="removed",
        image_id=image_id,
        digest=image_id * 2,
        score=score,
        median_score=1.0,
        threshold=2.0,
    )


def cycle(number: int, **changes: Any) -> RefinementCycle:
    uneventful = {"kept": ("a",), "judged": {}, "losses": (), "epochs": number, "final_scores": {}}
    return RefinementCycle(cycle=number, **{**uneventful, **changes})


CYCLES = [
    cycle(0, kept=("a", "b", "c"), losses=(4.0, 3.0), epochs=2),
    cycle(
        1,
        kept=("a", "b"),
        judged={"a": 1.0, "b": 3.0, "c": 9.0},
        decisions=(decision(1, "c", 9.0),),
        median_score=3.0,
        threshold=4.5,
        above=1,
        losses=(2.0,),
        epochs=3,
    ),
    cycle(
        2,
        judged={"a": 1.5, "b": 3.5},
        decisions=(decision(2, "b", 3.5),),
        losses=(),
        epochs=3,
        stop="max_cycles (2) reached",
        final_scores={"a": 0.5},
    ),
]


def log(cycles: list[RefinementCycle]) -> pd.DataFrame:
    return removal_log(
        cycles, MANIFEST, policy="worst_only", scoring="held_out", detector="differnet", judge="gaussian"
    )


def test_the_log_has_a_row_for_each_decision_in_order_with_its_path() -> None:
    assert tuple(log(CYCLES).columns) == LOG_COLUMNS
    assert log(CYCLES)[["cycle", "action", "image_id", "path", "digest", "score"]].to_numpy().tolist() == [
        [1, "removed", "c", "3.png", "cc", 9.0],
        [2, "removed", "b", "2.png", "bb", 3.5],
    ]


def test_the_log_says_how_was_decided_and_never_a_label() -> None:
    first = log(CYCLES).iloc[0]
    assert first[["policy", "scoring", "detector", "judge"]].tolist() == [
        "worst_only",
        "held_out",
        "differnet",
        "gaussian",
    ]
    assert not {"label", "defect_type", "mask_path"} & set(LOG_COLUMNS)


def test_a_log_without_decisions_has_its_columns_all_the_same() -> None:
    empty = log(CYCLES[:1])
    assert tuple(empty.columns) == LOG_COLUMNS
    assert empty.empty


def test_the_history_has_a_row_for_each_cycle() -> None:
    history = cycle_history([(record, 0.5) for record in CYCLES])
    assert history[
        ["cycle", "images", "removed", "above_threshold", "epochs", "seconds"]
    ].to_numpy().tolist() == [
        [0, 3, 0, 0, 2, 0.5],
        [1, 2, 1, 1, 3, 0.5],
        [2, 1, 1, 0, 3, 0.5],
    ]
    assert history["stop"].tolist() == ["", "", "max_cycles (2) reached"]


def test_the_history_shows_first_and_last_loss_where_there_is_one() -> None:
    history = cycle_history([(record, 0.5) for record in CYCLES])
    assert history["first_loss"].tolist()[:2] == [4.0, 2.0]
    assert history["last_loss"].tolist()[:2] == [3.0, 2.0]
    assert math.isnan(history["last_loss"].iloc[2])
    assert math.isnan(history["threshold"].iloc[0])


def test_each_image_keeps_the_last_score_that_a_judge_gave_it() -> None:
    assert last_scores(CYCLES) == {"a": 1.5, "b": 3.5, "c": 9.0}


def test_where_nobody_judged_the_trained_detector_scores() -> None:
    assert last_scores([cycle(0, stop="no cycle asked for", final_scores={"a": 2.0})]) == {"a": 2.0}


def test_an_image_that_the_manifest_lacks_is_not_logged_in_silence() -> None:
    with pytest.raises(KeyError, match="stranger"):
        log([cycle(1, decisions=(decision(1, "stranger", 9.0),))])


@pytest.mark.parametrize(
    ("by", "judge", "policy"), [("resemblance", "resemblance", "worst_only"), ("review", "review", "review")]
)
def test_what_no_judge_decided_by_itself_is_named_for_what_it_is(by: str, judge: str, policy: str) -> None:
    decided = replace(decision(1, "c", 9.0), by=by)
    row = log([cycle(1, decisions=(decided,))]).iloc[0]
    assert (row["judge"], row["policy"]) == (judge, policy)
