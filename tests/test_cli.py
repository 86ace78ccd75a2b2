"""What a user sees when a command goes well, and when it does not."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from kedro.framework.startup import bootstrap_project
from kedro.io import DatasetError
from omegaconf import OmegaConf

from irp_kedro import cli
from irp_kedro.errors import ParameterError

PROJECT = Path(__file__).parents[1]
HEAVY = {"torch", "torchvision", "timm", "FrEIA", "dvc", "dvc_data"}

Kedro = Callable[..., Result]


@pytest.fixture
def kedro(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kedro]:
    """Runs ``kedro run --params …`` in this process, below a data root of its own."""
    monkeypatch.chdir(PROJECT)
    bootstrap_project(PROJECT)

    def run(*options: str, **params: object) -> Result:
        spelt = ",".join(f"{key}={value}" for key, value in {"data_root": tmp_path, **params}.items())
        return CliRunner().invoke(cli.cli, ["run", "--params", spelt, *options])

    yield run
    for name in ("cell", "data_root"):
        OmegaConf.clear_resolver(name)


def in_a_process(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=PROJECT,
        env={**os.environ, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_misspelt_parameter_ends_with_the_nearest_one_and_no_traceback() -> None:
    done = in_a_process("-m", "kedro", "run", "--params", "datset.name=sample")
    assert done.returncode == 1
    assert "datset is no parameter; did you mean 'dataset'?" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_the_traceback_is_shown_on_request() -> None:
    done = in_a_process("-m", "kedro", "run", "--traceback", "--params", "seed=-1")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "ParameterError" in done.stderr


@pytest.mark.parametrize(
    "arguments", [("run", "--help"), ("registry", "list")], ids=lambda arguments: " ".join(arguments)
)
def test_asking_what_there_is_loads_neither_torch_nor_dvc(arguments: tuple[str, ...]) -> None:
    done = in_a_process("-X", "importtime", "-m", "kedro", *arguments)
    assert done.returncode == 0, done.stderr
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert {"irp_kedro.cli", "kedro.framework.cli.cli"} <= loaded
    assert loaded & HEAVY == set()


@pytest.mark.parametrize(
    ("asked", "explained"),
    [
        ({"refinement.policy": "worst"}, "refinement.policy = 'worst': Input should be 'worst_only' or"),
        ({"refinment.policy": "worst_only"}, "refinment is no parameter; did you mean 'refinement'?"),
        ({"refinement.polcy": "worst_only"}, "refinement.polcy is no parameter; in 'refinement': did you mean"),
        ({"contamination.level": 0.7}, "contamination.level = 0.7: Input should be less than"),
        ({"contamination.level": "high"}, "contamination.level = 'high': Input should be a valid number"),
        ({"training.epochs": 3}, "above training.epochs = 3, the budget every strategy shares"),
        ({"dataset.name": "mvtec"}, "dataset.name = 'mvtec' is no source; did you mean 'mvtec_ad'?"),
        ({"detector": "difernet"}, "detector = 'difernet' is no detector; did you mean 'differnet'?"),
        ({"refinement.judge": "gauss"}, "refinement.judge = 'gauss' is no detector; did you mean 'gaussian'?"),
    ],
    ids=str,
)
def test_a_wrong_parameter_is_explained_before_anything_runs(
    asked: dict[str, object], explained: str, kedro: Kedro, tmp_path: Path
) -> None:
    result = kedro(**asked)
    assert result.exit_code == 1
    assert explained in result.stderr
    assert "--traceback shows where it was raised" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_all_faults_come_at_once(kedro: Kedro) -> None:
    result = kedro(sede=1, **{"sample.size": 3, "views.bnk": 4})
    assert "3 faults in the parameters:" in result.stderr


def test_a_misspelt_class_ends_with_the_nearest_one(kedro: Kedro, tmp_path: Path) -> None:
    for folder in ("pill/train/good", "pill/test/good", "screw/train/good", "screw/test/good"):
        (tmp_path / "sets" / folder).mkdir(parents=True)
    asked = {"dataset.name": "mvtec_ad", "dataset.path": tmp_path / "sets", "dataset.product_class": "pil"}
    result = kedro(**asked)
    assert result.exit_code == 1
    assert "has no class 'pil'; did you mean 'pill'?" in result.stderr


def test_a_class_to_be_downloaded_is_checked_before_anything_is_fetched(kedro: Kedro) -> None:
    result = kedro(**{"dataset.name": "mvtec_ad", "dataset.product_class": "scrw"})
    assert result.exit_code == 1
    assert "did you mean 'screw'?" in result.stderr


@pytest.mark.parametrize("name", ["image_folder", "mvtec_ad", "ksdd2"])
def test_a_path_that_is_not_there_is_named(name: str, kedro: Kedro, tmp_path: Path) -> None:
    missing = tmp_path / "nowhere"
    result = kedro(**{"dataset.name": name, "dataset.path": missing})
    assert result.exit_code == 1
    assert str(missing) in result.stderr
    assert result.stderr.startswith("Error: ")


def test_a_pipeline_run_too_early_names_the_one_to_run_first(kedro: Kedro) -> None:
    result = kedro("--pipelines", "features")
    assert result.exit_code == 1
    assert "Run: kedro run --pipelines ingestion" in result.stderr


def test_with_traceback_the_error_itself_is_raised(kedro: Kedro) -> None:
    assert isinstance(kedro("--traceback", seed=-1).exception, ParameterError)


def test_an_error_without_explanation_is_not_hidden(kedro: Kedro, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(cli, "RUN", fail)
    assert isinstance(kedro().exception, ZeroDivisionError)


@pytest.mark.parametrize("chain", ["cause", "context"])
def test_the_explanation_is_found_behind_the_error_that_a_library_made_of_it(
    chain: str, kedro: Kedro, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: object) -> None:
        try:
            raise DatasetError("No model at 'a'.")
        except DatasetError as error:
            raise RuntimeError("library") from (error if chain == "cause" else None)

    monkeypatch.setattr(cli, "RUN", fail)
    result = kedro()
    assert (result.exit_code, result.stderr.splitlines()[0]) == (1, "Error: No model at 'a'.")


def test_run_takes_every_option_of_kedro_and_one_more() -> None:
    ours = {parameter.name for parameter in cli.cli.commands["run"].params}
    kedros = {parameter.name for parameter in cli.kedro_run.params}
    assert ours == {*kedros, "traceback"}


def test_commands_of_ours_stand_in_a_group_of_their_own() -> None:
    assert isinstance(cli.cli.commands["irp"], click.Group)
    assert CliRunner().invoke(cli.cli, ["irp", "--help"]).exit_code == 0
