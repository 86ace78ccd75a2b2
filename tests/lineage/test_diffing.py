import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from irp_kedro.lineage.diffing import SnapshotDiff, diff


def compare(chain: Any, before: int, after: int) -> SnapshotDiff:
    return diff(chain.snapshots[before], chain.snapshots[after], chain.snapshots, chain.stores)


def ids(images: Any) -> str:
    return "".join(image.image_id for image in images)


@pytest.fixture
def told(plain_chain: Any) -> Any:
    """e, then c and a leave; nobody; then b leaves and e returns; then b returns and d leaves."""
    plain_chain.tell((("", ""), ("e", ""), ("ca", ""), ("", ""), ("b", "e"), ("d", "b")))
    return plain_chain


@pytest.mark.parametrize(
    ("before", "after", "removed", "restored"),
    [
        (0, 1, "e", ""),
        (0, 2, "eca", ""),
        (0, 3, "eca", ""),
        (0, 4, "cab", ""),
        (0, 5, "cad", ""),
        (1, 2, "ca", ""),
        (2, 3, "", ""),
        (3, 4, "b", "e"),
        (4, 5, "d", "b"),
        (3, 5, "d", "e"),
        (2, 2, "", ""),
        (2, 0, "", "ace"),
        (4, 3, "e", "b"),
    ],
)
def test_the_way_between_two_cycles_names_who_left_in_order_and_who_returned(
    told: Any, before: int, after: int, removed: str, restored: str
) -> None:
    found = compare(told, before, after)
    assert (ids(found.removed), ids(found.restored)) == (removed, restored)
    assert found.common == told.snapshots[before].record.images - len(removed)
    assert found.before == f"cell/iterative_refinement/cycle_00{before}"
    assert found.after == f"cell/iterative_refinement/cycle_00{after}"


def test_every_removed_image_has_the_decision_that_removed_it(told: Any) -> None:
    found = compare(told, 0, 2)
    assert {image.image_id: found.decisions[image.image_id] for image in found.removed} == {
        "e": {"cycle": 1, "score": 9.0, "threshold": 2.0},
        "c": {"cycle": 2, "score": 9.0, "threshold": 2.0},
        "a": {"cycle": 2, "score": 8.0, "threshold": 2.0},
    }


def test_decisions_after_the_second_cycle_are_left_out(told: Any) -> None:
    assert set(compare(told, 0, 1).decisions) == {"e"}
    assert set(compare(told, 5, 2).decisions) == {"e", "c", "a"}


def test_an_image_that_left_twice_has_its_last_decision(plain_chain: Any) -> None:
    plain_chain.tell((("", ""), ("e", ""), ("", "e"), ("be", "")))
    found = compare(plain_chain, 0, 3)
    assert ids(found.removed) == "be"
    assert found.decisions["e"] == {"cycle": 3, "score": 8.0, "threshold": 2.0}


def test_images_of_equal_score_come_in_the_order_in_which_they_left(plain_chain: Any) -> None:
    plain_chain.save(0)
    plain_chain.save(1, removed="dbe", score=7.0)
    assert ids(compare(plain_chain, 0, 1).removed) == "dbe"


def test_strategies_that_kept_the_same_images_do_not_differ(told: Any, training: Any, new_chain: Any) -> None:
    other = new_chain(told.root, training, "cell/one_shot_removal", mode="plain")
    other.tell((("", ""), ("eca", "")))
    found = diff(told.snapshots[2], other.snapshots[1], [*told.snapshots, *other.snapshots], told.stores)
    assert (ids(found.removed), ids(found.restored), found.common) == ("", "", 2)


def test_sets_of_other_chains_are_compared_in_both_directions(told: Any, training: Any, new_chain: Any) -> None:
    vanilla = new_chain(told.root, training, "other cell/vanilla", mode="plain")
    vanilla.tell((("", ""),))
    everything = [*told.snapshots, *vanilla.snapshots]
    there = diff(vanilla.snapshots[0], told.snapshots[2], everything, told.stores)
    back = diff(told.snapshots[2], vanilla.snapshots[0], everything, told.stores)
    assert (ids(there.removed), ids(there.restored)) == ("eca", "")
    assert (ids(back.removed), ids(back.restored)) == ("", "ace")
    assert back.decisions == {}


def test_images_of_other_bytes_are_other_images(
    told: Any, new_images: Callable[..., pd.DataFrame], new_chain: Any, tmp_path: Path
) -> None:
    training = new_images(tmp_path / "other", " of another set")
    other = new_chain(told.root, training, "other cell/vanilla", mode="plain")
    other.tell((("", ""),))
    found = diff(told.snapshots[2], other.snapshots[0], [*told.snapshots, *other.snapshots], told.stores)
    assert (ids(found.removed), ids(found.restored), found.common) == ("bd", "abcde", 0)
    assert [image.original for image in found.removed] == ["good/b.png", "bad/d.png"]


def test_chains_of_both_modes_are_compared(chain: Any, plain_chain: Any) -> None:
    chain.tell()
    plain_chain.tell()
    found = diff(
        chain.snapshots[0], plain_chain.snapshots[1], plain_chain.snapshots, chain.stores | plain_chain.stores
    )
    assert (ids(found.removed), ids(found.restored), found.common) == ("e", "", 4)


def test_machines_get_every_image_with_its_decision(told: Any) -> None:
    value = compare(told, 3, 4).as_dict()
    assert json.loads(json.dumps(value)) == value
    b, e = told.images[1], told.images[4]
    decision = {"cycle": 4, "score": 9.0, "threshold": 2.0}
    assert value == {
        "before": "cell/iterative_refinement/cycle_003",
        "after": "cell/iterative_refinement/cycle_004",
        "common": 1,
        "removed": [{**vars(b), "decision": decision}],
        "restored": [vars(e)],
    }
