from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irp_kedro.core.records import LOG_COLUMNS
from irp_kedro.errors import LineageError
from irp_kedro.lineage.rebuilding import read_removals, rebuild

NUMBERS = count()
# Who leaves or, having left, returns in each cycle after the first.
TURNS = st.lists(
    st.permutations("abcde").flatmap(lambda ids: st.integers(0, 4).map(lambda n: ids[:n])), max_size=7
)


@pytest.fixture(scope="module")
def start_chain(
    tmp_path_factory: pytest.TempPathFactory,
    make_repository: Callable[[Path], Path],
    new_images: Callable[..., pd.DataFrame],
    new_chain: Any,
) -> Callable[[str, int], Any]:
    """Starts chains side by side, which share what they keep."""
    folder = tmp_path_factory.mktemp("many")
    repository, training = make_repository(folder / "repository"), new_images(folder / "images")

    def start(mode: str, tree_every: int) -> Any:
        name = f"{mode}/chain{next(NUMBERS)}"
        return new_chain(repository / "lineage", training, name, mode=mode, tree_every=tree_every)

    return start


@settings(max_examples=40, deadline=None)
@given(turns=TURNS, tree_every=st.integers(1, 9), mode=st.sampled_from(["dvc", "plain"]))
def test_the_exact_set_of_every_cycle_comes_back_whatever_left_and_returned(
    start_chain: Callable[[str, int], Any], turns: list[list[str]], tree_every: int, mode: str
) -> None:
    chain, inside = start_chain(mode, tree_every), set("abcde")
    chain.save(0, stop="" if turns else "no cycle asked for")
    expected = ["abcde"]
    for cycle, turn in enumerate(turns, start=1):
        leaving = "".join(image_id for image_id in turn if image_id in inside)
        returning = "".join(image_id for image_id in turn if image_id not in inside)
        chain.save(cycle, removed=leaving, restored=returning, stop="end" if cycle == len(turns) else "")
        inside ^= set(turn)
        expected.append("".join(sorted(inside)))
    rebuilt = [rebuild(snapshot, chain.store) for snapshot in chain.snapshots]
    assert ["".join(image.image_id for image in images) for images in rebuilt] == expected
    assert rebuilt[0] == chain.images


def test_the_removals_of_a_cycle_have_the_columns_and_types_of_the_log(chain: Any) -> None:
    chain.save(0)
    chain.save(1, removed="ed")
    table = read_removals(chain.folder / "cycle_001", chain.store)
    assert tuple(table.columns) == LOG_COLUMNS
    assert list(table["image_id"]) == ["e", "d"]
    assert list(table["score"]) == [9.0, 8.0]
    assert tuple(read_removals(chain.folder / "cycle_000", chain.store).columns) == LOG_COLUMNS


def test_a_set_that_is_not_the_one_recorded_is_refused(chain: Any) -> None:
    chain.tell()
    first, second, *_ = chain.snapshots
    forged = replace(second, record=replace(second.record, tree=first.record.tree))
    with pytest.raises(LineageError, match=r"cycle_001 comes out as .*\.dir, but .*\.dir was recorded"):
        rebuild(forged, chain.store)


@pytest.mark.parametrize("broken", ["lineage.json", "removals.csv.dvc"])
def test_a_set_is_not_guessed_where_a_cycle_on_the_way_to_it_is_broken(chain: Any, broken: str) -> None:
    chain.tree_every = 9
    chain.tell()
    *_, third, last = chain.snapshots
    (chain.folder / "cycle_001" / broken).unlink()
    with pytest.raises(LineageError, match=f"cycle_001/{broken}' is missing"):
        rebuild(third, chain.store)
    assert len(rebuild(last, chain.store)) == 4  # an object of its own


@pytest.mark.parametrize("file", ["contents.csv", "removals.csv", "images.json"])
@pytest.mark.parametrize("content", [b"", b"x", b"\xff\xfe", b"[1]", b'"'])
def test_a_file_that_is_no_longer_what_was_kept_is_named(plain_chain: Any, file: str, content: bytes) -> None:
    plain_chain.tree_every = 9
    plain_chain.tell()
    second = plain_chain.snapshots[1]
    folder = plain_chain.folder / ("cycle_001" if file == "removals.csv" else "cycle_000")
    (folder / file).write_bytes(content)
    with pytest.raises(LineageError, match=file):
        rebuild(second, plain_chain.store)


def test_removals_of_images_that_the_chain_never_had_are_refused(plain_chain: Any) -> None:
    plain_chain.tree_every = 9
    plain_chain.tell()
    removals = plain_chain.folder / "cycle_001" / "removals.csv"
    removals.write_text(removals.read_text().replace(",e,", ",z,"))
    with pytest.raises(LineageError, match=r"cycle_001.*removals\.csv"):
        rebuild(plain_chain.snapshots[1], plain_chain.store)
