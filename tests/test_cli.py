import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from kedro.framework.startup import bootstrap_project

from irp_kedro.cli import cli
from irp_kedro.errors import ParameterError

PROJECT = Path(__file__).parents[1]
Kedro = Callable[..., Result]


@pytest.fixture
def kedro_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Kedro:
    monkeypatch.chdir(PROJECT)
    bootstrap_project(PROJECT)

    def call(params: str, *options: str, pipeline: str = "ingestion") -> Result:
        asked = ["run", "--pipelines", pipeline, "--params", f"data_root={tmp_path},{params}", *options]
        return CliRunner().invoke(cli, asked)

    return call


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            "contamination.levl=0.3",
            "contamination.levl is no parameter; in 'contamination': did you mean 'level'?",
        ),
        ("datset.name=x", "datset is no parameter; did you mean 'dataset'?"),
        ("contamination.level=high", "contamination.level = 'high'"),
        ("dataset.name=mvtec", "did you mean 'mvtec_ad'?"),
        ("dataset.name=image_folder,dataset.path=no/such/folder", "does not exist"),
        ("dataset.name=mvtec_ad,dataset.product_class=pil", "did you mean 'pill'?"),
    ],
)
def test_a_mistake_ends_in_one_message_without_a_traceback(kedro_run: Kedro, params: str, message: str) -> None:
    result = kedro_run(params)
    assert result.exit_code == 1
    assert message in result.output
    assert "Traceback" not in result.output
    assert result.output.count("Error: ") == 1


def test_traceback_shows_where_it_was_raised(kedro_run: Kedro) -> None:
    assert isinstance(kedro_run("datset.name=x", "--traceback").exception, ParameterError)


def test_a_pipeline_whose_input_is_missing_says_which_one_to_run(kedro_run: Kedro) -> None:
    result = kedro_run("seed=0", pipeline="features")
    assert result.exit_code == 1
    assert "kedro run --pipelines ingestion" in result.output


@pytest.mark.parametrize("command", [["run", "--help"], ["irp", "--help"], ["registry", "list"]])
def test_commands_that_only_tell_load_neither_torch_nor_dvc(command: list[str]) -> None:
    code = (
        "import sys\nfrom kedro.framework.cli.cli import main\n"
        f"sys.argv = ['kedro', *{command!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "loaded = {'torch', 'dvc'} & set(sys.modules)\nassert not loaded, loaded\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
