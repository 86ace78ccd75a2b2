import math
from collections.abc import Sequence
from itertools import count
from typing import Any

import numpy as np
import pandas as pd
import pytest

from irp_kedro.core.detector import NOBODY, BlindSet, Rows, Scores
from irp_kedro.core.records import removal_log
from irp_kedro.core.refinement import RefinementCycle, plan_for, refine
from irp_kedro.core.review import Review
from irp_kedro.errors import ReviewError
from irp_kedro.parameters import RefinementParameters, Strategy

SCORES = {"a": 1.0, "b": 1.1, "c": 1.2, "d": 1.3, "e": 9.0, "f": 8.0}


class Table:
    """Detector and judge at once: knows each image's score by digest, remembers what it was trained on."""

    def __init__(self, images: BlindSet) -> None:
        self.images = images
        self.trained_on: list[set[str]] = []
        self.learnt_from: list[set[str]] = []

    def fit(self, rows: Rows, *, epochs: int) -> list[float]:
        self.trained_on.append({self.images.digests[row] for row in rows})
        return [0.0] * epochs

    def score(self, rows: Rows) -> Scores:
        return np.array([SCORES[self.images.digests[row]] for row in rows])

    def fresh(self, name: str) -> "Table":
        return self

    def judge(self, rows: Rows, *, cycle: int, outside: Rows = NOBODY) -> Scores:
        self.learnt_from.append({self.images.digests[row] for row in rows})
        return self.score(np.concatenate([rows, outside]))


def walk(
    review: Review, strategy: Strategy = "iterative_refinement", **rule: Any
) -> tuple[list[RefinementCycle], Table]:
    images = BlindSet.of_ids([f"id-{name}" for name in SCORES], list(SCORES), seed=0)
    table = Table(images)
    asked = {"threshold": "median_factor", "threshold_factor": 2.0, "max_removed_per_cycle": 1.0, **rule}
    plan = plan_for(strategy, RefinementParameters(**{"judge": [], **asked}), 4, review)
    return list(refine(table, table, images, plan)), table


def decided(cycles: Sequence[RefinementCycle]) -> list[tuple[int, str, str, str]]:
    return [(d.cycle, d.action, d.digest, d.by) for cycle in cycles for d in cycle.decisions]


def test_without_a_review_the_two_outliers_leave() -> None:
    assert decided(walk(Review())[0]) == [(1, "removed", "e", "judge"), (1, "removed", "f", "judge")]


def test_a_kept_image_never_leaves_and_the_log_says_who_held_it() -> None:
    cycles, _ = walk(Review(keep=frozenset("e")))
    assert decided(cycles) == [(0, "kept", "e", "review"), (1, "removed", "f", "judge")]
    assert "id-e" in cycles[-1].kept


@pytest.mark.parametrize("restore", [True, False])
def test_a_removed_image_leaves_before_the_first_cycle_and_never_returns(restore: bool) -> None:
    cycles, table = walk(Review(remove=frozenset("b")), restore=restore)
    assert decided(cycles)[0] == (0, "removed", "b", "review")
    assert all("id-b" not in cycle.kept for cycle in cycles)
    assert all("b" not in learnt for learnt in (*table.trained_on, *table.learnt_from))


def test_what_a_person_removed_is_not_held_against_the_loop() -> None:
    # Two of the five that a person left may leave.
    cycles, _ = walk(Review(remove=frozenset("a")), max_removed_fraction=0.4)
    assert {digest for _, action, digest, _ in decided(cycles) if action == "removed"} == set("aef")


def test_vanilla_is_the_set_as_it_was_whatever_a_person_says() -> None:
    cycles, _ = walk(Review(keep=frozenset("e"), remove=frozenset("b")), "vanilla")
    assert decided(cycles) == []
    assert len(cycles[-1].kept) == len(SCORES)


def test_a_review_counts_where_nobody_judges_too() -> None:
    cycles, table = walk(Review(remove=frozenset("b")), max_cycles=0)
    assert decided(cycles) == [(0, "removed", "b", "review")]
    assert table.trained_on == [set(SCORES) - {"b"}]


def test_a_review_that_removes_everything_is_refused() -> None:
    with pytest.raises(ReviewError, match="nothing is left to train on"):
        walk(Review(remove=frozenset(SCORES)))


def test_the_removal_log_names_the_review_in_place_of_policy_and_judge() -> None:
    cycles, _ = walk(Review(keep=frozenset("e"), remove=frozenset("b")))
    manifest = pd.DataFrame({"image_id": [f"id-{name}" for name in SCORES], "path": list(SCORES)})
    log = removal_log(
        cycles, manifest, policy="all_above", scoring="held_out", detector="differnet", judge="gaussian"
    ).set_index("digest")
    assert log.loc[["b", "e"], ["policy", "scoring", "judge"]].to_numpy().tolist() == [["review"] * 3] * 2
    assert log.loc["f", ["policy", "scoring", "judge"]].tolist() == ["all_above", "held_out", "gaussian"]
    assert math.isnan(log.loc["b", "score"])
    assert log.loc["f", "score"] == SCORES["f"]


def test_unsure_decides_nothing_and_only_digests_are_taken() -> None:
    places = count()
    table = pd.DataFrame(
        [
            (digest, decision, next(places))
            for digest, decision in zip("abc", ("keep", "remove", "unsure"), strict=True)
        ],
        columns=["digest", "decision", "path"],
    )
    assert Review.of(table) == Review(keep=frozenset("a"), remove=frozenset("b"))
