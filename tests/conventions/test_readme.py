"""What the README draws is what the pipelines do."""

import re
from pathlib import Path

import pytest
from kedro.pipeline import Pipeline

from irp_kedro.pipeline_registry import register_pipelines

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture(scope="module")
def pipelines() -> dict[str, Pipeline]:
    return register_pipelines()


@pytest.fixture(scope="module")
def arrows() -> list[tuple[str, str, str]]:
    """(from, data set, to) of each solid arrow."""
    (drawn,) = re.findall(r"```mermaid\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    lines = re.findall(r"(\w+) -- ([\w, ]+) --> ([\w &]+)", drawn)
    return [
        (start, what, end)
        for start, named, ends in lines
        for what in named.split(", ")
        for end in ends.split(" & ")
    ]


def test_every_arrow_is_a_data_set_that_one_pipeline_makes_and_the_other_takes(
    pipelines: dict[str, Pipeline], arrows: list[tuple[str, str, str]]
) -> None:
    passed = {
        (start, name.rpartition(".")[2], end)
        for start, one in pipelines.items()
        for end, other in pipelines.items()
        for name in one.all_outputs() & other.all_inputs()
    }
    assert arrows
    assert set(arrows) <= passed


def test_every_pipeline_of_a_plain_run_is_drawn(
    pipelines: dict[str, Pipeline], arrows: list[tuple[str, str, str]]
) -> None:
    alone = {"__default__", "calibration", "grid_report"}
    assert {name for start, _, end in arrows for name in (start, end)} == set(pipelines) - alone
