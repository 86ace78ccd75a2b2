"""What conf/ says and what the code assumes are the same."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from irp_kedro.parameters import Parameters, check_parameters

CONF = Path(__file__).parents[2] / "conf"
ENVIRONMENTS = sorted(
    path.name for path in CONF.iterdir() if path.is_dir() and path.name not in {"base", "local"}
)


def files(environment: str) -> list[Path]:
    return sorted((CONF / environment).glob("parameters*.yml"))


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``above`` laid softly over ``below``: keys of a group that ``above`` leaves out stay."""
    both = {**below, **above}
    for key in below.keys() & above.keys():
        if isinstance(below[key], Mapping) and isinstance(above[key], Mapping):
            both[key] = merged(below[key], above[key])
    return both


def parameters_of(*environments: str) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for environment in environments:
        for path in files(environment):
            tree = merged(tree, read(path))
    return tree


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return flat


def test_base_spells_out_every_parameter_with_its_default() -> None:
    assert flatten(parameters_of("base")) == flatten(Parameters().model_dump(mode="json"))


def test_the_paper_and_the_reference_have_environments() -> None:
    assert {"paper", "reference"} <= set(ENVIRONMENTS)


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_an_environment_laid_over_base_is_valid(environment: str) -> None:
    checked = check_parameters(parameters_of("base", environment))
    asked = flatten(parameters_of(environment))
    found = flatten(checked.model_dump(mode="json"))
    assert {key: found[key] for key in asked} == asked


@pytest.mark.parametrize("environment", ["base", *ENVIRONMENTS])
def test_no_group_is_spread_over_two_files_of_an_environment(environment: str) -> None:
    groups = Counter(group for path in files(environment) for group in read(path))
    assert [group for group, n in groups.items() if n > 1] == []


def test_the_paper_is_run_as_its_section_four_says() -> None:
    paper = check_parameters(parameters_of("base", "paper"))
    assert (paper.backbone, paper.preparation.size, paper.training.epochs) == ("alexnet", 448, 400)
    assert (paper.flow.blocks, paper.flow.layers, paper.flow.hidden) == (8, 3, 2048)
    assert (paper.views.train, paper.views.score, paper.training.batch_views) == (4, 64, 96)
    assert paper.features.scales == (1.0, 0.5, 0.25)
    rule = paper.refinement
    assert (rule.policy, rule.threshold, rule.scoring) == ("worst_only", "median_factor", "in_sample")


def test_the_reference_trains_as_long_as_differnet() -> None:
    assert check_parameters(parameters_of("base", "reference")).training.epochs == 24 * 8
