import shlex
from typing import Any

import click
import pytest
from kedro.framework.cli.utils import _split_params

from irp_kedro.naming import cell_name
from irp_kedro.parameters import Parameters, check_parameters
from irp_kedro.reporting.cell_command import run_command

REVIEW = {"refinement.review": "review.csv"}


def typed(text: str) -> Parameters:
    """What Kedro makes of a command, laid over conf/base."""
    program, command, option, value = shlex.split(text)
    assert (program, command, option) == ("kedro", "run", "--params")
    asked = _split_params(click.Context(click.Command("run")), click.Option(["--params"]), value)
    return check_parameters(_laid_over(Parameters().model_dump(mode="json"), asked))


def _laid_over(tree: dict[str, Any], asked: dict[str, Any]) -> dict[str, Any]:
    nested = {key: _laid_over(tree[key], value) for key, value in asked.items() if isinstance(value, dict)}
    return tree | asked | nested


def command_of(changed: dict[str, Any] | None = None, **raw: Any) -> Any:
    return run_command(check_parameters(raw).model_dump(mode="json"), changed or {})


def test_the_default_cell_needs_nothing_but_the_change() -> None:
    assert command_of(REVIEW).text == "kedro run --params refinement.review=review.csv"
    assert command_of().text == "kedro run"


@pytest.mark.parametrize(
    "asked",
    [
        {"dataset": {"name": "mvtec_ad", "product_class": "pill", "path": "/my images/it's here"}},
        {"dataset": {"name": "image_folder", "product_class": "001"}, "seed": 3},
        {"refinement": {"judge": [], "restore": False, "pretrain_epochs": 2}, "contamination": {"level": 0.3}},
        {"refinement": {"judge": ["fine_patch_memory", "gaussian"]}, "training": {"weight_decay": 1e-7}},
        {"data_root": "/elsewhere/data", "lineage": {"root": "/elsewhere/lineage"}, "device": "cpu"},
        {"sample": {"size": 64}, "evaluation": {"maps": "none"}, "reporting": {"near_images": 3}},
    ],
    ids=["path", "class like a number", "nobody judges", "judges", "places", "sample"],
)
def test_the_command_gives_every_parameter_of_the_cell_and_the_change(asked: dict[str, Any]) -> None:
    cell = check_parameters(asked)
    found = typed(command_of(REVIEW, **asked).text)
    expected = cell.model_dump(mode="json")
    expected["refinement"]["review"] = "review.csv"
    assert found.model_dump(mode="json") == expected


def test_an_earlier_review_gives_way_to_the_new_one(tmp_path: Any) -> None:
    asked = {"refinement": {"review": str(tmp_path / "old.csv")}}
    assert command_of(REVIEW, **asked).text == "kedro run --params refinement.review=review.csv"


def test_a_folder_of_its_own_name_is_not_written_over() -> None:
    assert command_of(cell="mine", grid="real", seed=2).text == "kedro run --params seed=2"
    assert cell_name(typed(command_of(cell="mine", seed=2).text)).startswith("sample-level0.2-differnet-seed2-")


def test_what_a_command_cannot_carry_is_named() -> None:
    command = command_of(features={"scales": [1.0, 0.75, 0.5]}, seed=1)
    assert command.text == "kedro run --params seed=1"
    assert command.beyond == (("features.scales", "[1.0, 0.75, 0.5]"),)
