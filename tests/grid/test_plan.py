from collections.abc import Callable
from pathlib import Path

import pytest

from irp_kedro.errors import GridError
from irp_kedro.grid.plan import read_plan

PROJECT = Path(__file__).parents[2]
Write = Callable[[str], Path]

TWO_SETS = """
name: two
variables: {images: "???", other: "${.images}/other"}
seeds: [0, 1]
axes:
  set:
    a: {dataset.path: "${variables.images}/a"}
    b: {dataset.path: "${variables.other}"}
  contamination.level: [0.0, 0.3]
"""


def test_a_variable_is_filled_in_wherever_it_stands(write: Write) -> None:
    plan = read_plan(write(TWO_SETS), {"images": "/disk"})
    axis = plan.axes["set"]
    assert axis == {"a": {"dataset.path": "/disk/a"}, "b": {"dataset.path": "/disk/other"}}
    assert plan.axes["contamination.level"] == [0.0, 0.3]
    assert plan.seeds == (0, 1)


def test_a_variable_may_take_another_value_than_the_one_made_from_a_second(write: Write) -> None:
    plan = read_plan(write(TWO_SETS), {"images": "/disk", "other": "/b"})
    assert isinstance(plan.axes["set"], dict)
    assert plan.axes["set"]["b"] == {"dataset.path": "/b"}


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "have no value: images. Give them: --set images=VALUE"),
        ({"image": "/disk"}, "'image' is no variable of .*did you mean 'images'"),
    ],
)
def test_a_variable_without_value_or_of_another_name_is_refused(
    write: Write, variables: dict[str, str], message: str
) -> None:
    with pytest.raises(GridError, match=message):
        read_plan(write(TWO_SETS), variables)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: a\naxis: {seed: [1]}", "axis is no key of a grid; did you mean 'axes'"),
        ("name: a/b", "name"),
        ("name: a\nseeds: []", "seeds"),
        ("name: a\naxes: {contamination.level: []}", "axis contamination.level has no value"),
        ("name: a\naxes: {seed: [0, 1]}", "seeds have a list of their own"),
        ("name: a\naxes: {contamination: {low: {contamination.level: 0.1}}}", "a name that is no parameter's"),
        ("- a list", "is no grid"),
        ("name: [", "No grid can be read"),
        ("name: a\nnote: ${variables.nothing}", "cannot be resolved"),
    ],
)
def test_what_is_no_grid_is_refused_with_the_reason(write: Write, text: str, message: str) -> None:
    with pytest.raises(GridError, match=message):
        read_plan(write(text), {})


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(GridError, match=r"none\.yml"):
        read_plan(tmp_path / "none.yml", {})


@pytest.mark.parametrize("name", ["sample", "real", "paper"])
def test_the_grids_of_the_project_can_be_read(name: str) -> None:
    variables = {"images": "/disk"} if name == "real" else {}
    assert read_plan(PROJECT / "conf" / "base" / f"grid_{name}.yml", variables).name == name


def test_the_paper_s_grid_is_seven_sets_at_six_levels_with_five_seeds_in_its_environment() -> None:
    plan = read_plan(PROJECT / "conf" / "base" / "grid_paper.yml", {})
    assert plan.env == "paper"
    assert len(plan.axes["set"]) == 7
    assert plan.axes["contamination.level"] == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert len(plan.seeds) == 5
    assert plan.cost is not None
    assert plan.cost.images.keys() == set(plan.axes["set"])


def test_no_grid_of_the_project_names_a_place_on_one_machine() -> None:
    files = [*(PROJECT / "conf").rglob("grid_*.yml"), *(PROJECT / "studies").rglob("*.yml")]
    assert len(files) == 6
    assert not [file for file in files if "path: /" in file.read_text(encoding="utf-8")]
