import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from kedro.framework.startup import bootstrap_project

from irp_kedro.cli import cli

PROJECT = Path(__file__).parents[2]


@pytest.fixture
def calibrate(
    tiny: dict[str, Any], spelt: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_resolvers_left: None
) -> Any:
    monkeypatch.chdir(PROJECT)
    bootstrap_project(PROJECT)

    def call(*options: str, **params: Any) -> Any:
        asked = {**tiny, "data_root": tmp_path, **params}
        return CliRunner().invoke(cli, ["irp", "calibrate", "--params", spelt(asked), *options])

    return call


def test_calibration_names_a_factor_by_its_false_removals(calibrate: Any) -> None:
    # Where nothing returns and one judge decides, a larger factor never removes more.
    rule = {"refinement.threshold": "mad", "refinement.judge": "gaussian", "refinement.restore": False}
    asked = {"calibration.false_removal_rate": 0.9, "contamination.level": 0.4, **rule}
    result = calibrate("--json", **asked)
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout.splitlines()[-1])
    assert [row["chosen"] for row in rows].count(True) == 1
    rates = [row["false_removal_rate"] for row in rows]
    assert rates == sorted(rates, reverse=True)


def test_a_mistake_is_explained_without_a_traceback(calibrate: Any) -> None:
    result = calibrate(**{"calibration.factor": 3})
    assert result.exit_code == 1
    assert "did you mean 'factors'" in result.output
    assert "Traceback" not in result.output
