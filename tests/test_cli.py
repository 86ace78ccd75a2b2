import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from kedro.framework.startup import bootstrap_project
from kedro.io import DatasetError

from irp_kedro import cli as commands
from irp_kedro.cli import cli
from irp_kedro.errors import LineageError, ParameterError

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


@pytest.mark.parametrize(
    "params",
    [
        "refinement.polcy=worst_only",
        "detector=difernet",
        "refinement.judge=patch_memory+gausian",
        "training.epochs=3,refinement.pretrain_epochs=4",
    ],
)
def test_a_wrong_parameter_ends_the_run_before_anything_is_written(
    kedro_run: Kedro, tmp_path: Path, params: str
) -> None:
    assert kedro_run(params).exit_code == 1
    assert list(tmp_path.iterdir()) == []


def test_all_wrong_parameters_are_named_at_once(kedro_run: Kedro) -> None:
    assert "3 faults in the parameters:" in kedro_run("sede=1,sample.size=3,views.bnk=4").output


@pytest.mark.parametrize(("options", "shown"), [([], False), (["--traceback"], True)])
def test_the_terminal_shows_a_traceback_only_on_request(options: list[str], shown: bool) -> None:
    asked = [sys.executable, "-m", "kedro", "run", "--params", "datset.name=x", *options]
    done = subprocess.run(asked, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert ("Traceback" in done.stdout + done.stderr) is shown
    assert "datset is no parameter; did you mean 'dataset'?" in done.stderr


def test_traceback_shows_where_it_was_raised(kedro_run: Kedro) -> None:
    assert isinstance(kedro_run("datset.name=x", "--traceback").exception, ParameterError)


def test_a_pipeline_whose_input_is_missing_says_which_one_to_run(kedro_run: Kedro) -> None:
    result = kedro_run("seed=0", pipeline="features")
    assert result.exit_code == 1
    assert "kedro run --pipelines ingestion" in result.output


def test_an_error_without_an_explanation_is_not_hidden(
    kedro_run: Kedro, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(commands, "RUN", fail)
    assert isinstance(kedro_run("seed=0").exception, ZeroDivisionError)


@pytest.mark.parametrize("said", ["from", "while handling"])
def test_the_explanation_is_found_behind_the_error_that_a_library_made_of_it(
    kedro_run: Kedro, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    def fail(**_: object) -> None:
        try:
            raise DatasetError("No model at 'a'.")
        except DatasetError as error:
            if said == "from":
                raise RuntimeError("library") from error
            raise RuntimeError("library")  # noqa: B904 - libraries do that

    monkeypatch.setattr(commands, "RUN", fail)
    result = kedro_run("seed=0")
    assert result.exit_code == 1
    assert result.output.startswith("Error: No model at 'a'.")


def test_run_takes_every_option_of_kedro_s_own_and_one_more() -> None:
    ours = {parameter.name for parameter in cli.commands["run"].params}
    assert ours == {*(parameter.name for parameter in commands.kedro_run.params), "traceback"}


@pytest.mark.parametrize("command", [["run", "--help"], ["irp", "--help"], ["registry", "list"]])
def test_commands_that_only_tell_load_neither_torch_nor_dvc_nor_dask(command: list[str]) -> None:
    code = (
        "import sys\nfrom kedro.framework.cli.cli import main\n"
        f"sys.argv = ['kedro', *{command!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "heavy = {'torch', 'timm', 'dvc', 'dvc_data', 'dask', 'distributed'}\n"
        "loaded = heavy & set(sys.modules)\nassert not loaded, loaded\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_what_is_printed_for_machines_is_nothing_but_json(tmp_path: Path) -> None:
    asked = [sys.executable, "-m", "kedro", "irp", "lineage", "--json", "--params", f"lineage.root={tmp_path}"]
    done = subprocess.run(asked, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


def test_our_explanation_comes_before_the_one_that_kedro_made_of_it(
    kedro_run: Kedro, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: object) -> None:
        try:
            raise LineageError("An image has changed.")
        except LineageError as error:
            raise DatasetError("Failed while saving to dataset x") from error

    monkeypatch.setattr(commands, "RUN", fail)
    assert kedro_run("seed=0").output.startswith("Error: An image has changed.")
