"""The project run as a user runs it; what it promises is read from the files it leaves."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from kedro.framework.context import KedroContext
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from PIL import Image

from irp_kedro.cli import cli
from irp_kedro.core.manifest import LABELS
from irp_kedro.core.records import LOG_COLUMNS
from irp_kedro.datasets.sample import DEFECT_TYPES
from irp_kedro.parameters import STRATEGIES, Parameters
from irp_kedro.pipeline_registry import register_pipelines

PROJECT = Path(__file__).parents[2]
ORDER = ("ingestion", "contamination", "features", "refinement", "evaluation", "oracle", "reporting")
N_NORMAL, N_IMAGES = 24, 24 + 8 + 16  # of the tiny sample
N_TRAINING = N_NORMAL + 3  # a fifth of 16 defects
N_TEST = 8 + 8  # the other half of the defects was the pool
N_UNLABELLED = 20

RunProject = Callable[..., str]
Spelt = Callable[[dict[str, Any]], str]


@dataclass(frozen=True)
class Run:
    """What a run left below its data root, and what the terminal showed."""

    root: Path
    terminal: str

    def path(self, name: str) -> Path:
        """Return the file of that name in the cell's folder of whichever layer."""
        (found,) = self.root.glob(f"0*/*/{name}")
        return found

    def table(self, name: str) -> pd.DataFrame:
        return pd.read_csv(self.path(name), keep_default_na=False)

    def json(self, name: str) -> Any:
        return json.loads(self.path(name).read_text(encoding="utf-8"))


def contents(folder: Path) -> dict[str, str]:
    # Kedro-Viz notes in .viz what ran, so that its graph can show it.
    files = [path for path in folder.rglob("*") if path.is_file() and ".viz" not in path.parts]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project, so that whatever changes in it was changed by the run."""
    copy = tmp_path_factory.mktemp("project")
    for name in ("conf", "src"):
        shutil.copytree(PROJECT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(PROJECT / name, copy)
    return copy


@pytest.fixture(scope="module")
def before(project: Path) -> dict[str, str]:
    return contents(project)


@pytest.fixture(scope="module")
def whole(
    project: Path,
    before: dict[str, str],
    *,
    tiny: dict[str, Any],
    spelt: Spelt,
    tmp_path_factory: pytest.TempPathFactory,
    make_dvc_repository: Callable[[Path], None],
) -> Run:
    """`kedro run` in a process of its own, into an empty data root."""
    root = tmp_path_factory.mktemp("whole")
    make_dvc_repository(root)
    asked = {**tiny, "data_root": root, "lineage.root": root / "lineage"}
    done = subprocess.run(
        [sys.executable, "-m", "kedro", "run", "--params", spelt(asked)],
        cwd=project,
        env={**os.environ, "COLUMNS": "80", "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return Run(root, done.stdout)


@pytest.fixture(scope="module")
def again(whole: Run, run_project: RunProject, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The same run over what the first one left."""
    root = tmp_path_factory.mktemp("again") / "data"
    shutil.copytree(whole.root, root)
    return Run(root, run_project(root))


@pytest.fixture(scope="module")
def piecewise(
    run_project: RunProject, tiny: dict[str, Any], spelt: Spelt, tmp_path_factory: pytest.TempPathFactory
) -> Run:
    """One pipeline at a time, each in a session of its own, into an empty data root."""
    root = tmp_path_factory.mktemp("piecewise")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(PROJECT)
        asked = ["run", "--pipeline", "ingestion", "--params", spelt({**tiny, "data_root": root})]
        first = CliRunner().invoke(cli, asked)
    assert first.exit_code == 0, first.output
    for name in ORDER[1:]:
        terminal = run_project(root, name)
    return Run(root, terminal)


@pytest.fixture(scope="module")
def unlabelled(run_project: RunProject, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A flat folder of images of which nothing is known; the last three are bright."""
    images = tmp_path_factory.mktemp("images")
    for number in range(N_UNLABELLED):
        top = 256 if number >= N_UNLABELLED - 3 else 96
        pixels = np.random.default_rng(number).integers(top // 2, top, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(images / f"{number:03d}.png")
    root = tmp_path_factory.mktemp("unlabelled")
    asked = {"dataset.name": "image_folder", "dataset.path": images, "refinement.mad_factor": 2}
    return Run(root, run_project(root, **asked))


def context_of(root: Path, env: str | None = None, **asked: Any) -> KedroContext:
    bootstrap_project(PROJECT)
    session = KedroSession.create(PROJECT, env=env, runtime_params={"data_root": root.as_posix(), **asked})
    return session.load_context()


def promised(run: Run) -> dict[str, Path]:
    """Return the file of every output of a whole run, as the catalog of that run names it."""
    catalog = context_of(run.root, **run.json("parameters.json") | {"data_root": run.root.as_posix()}).catalog
    # The loop's settings and the provenance are parameters and digests gathered in one object, kept in memory.
    outputs = register_pipelines()["__default__"].all_outputs() - {"loop_settings", "provenance"}
    return {name: Path(catalog[name]._filepath) for name in sorted(outputs)}


@pytest.mark.parametrize("run", ["whole", "piecewise", "unlabelled"])
def test_every_file_that_the_catalog_promises_is_there(run: str, request: pytest.FixtureRequest) -> None:
    done: Run = request.getfixturevalue(run)
    files = promised(done)
    assert len(files) > 30
    assert [name for name, path in files.items() if not path.exists()] == []
    assert [name for name, path in files.items() if not path.is_relative_to(done.root)] == []


def test_nothing_is_written_outside_the_data_root(whole: Run, project: Path, before: dict[str, str]) -> None:
    assert contents(project) == before


def test_no_half_written_file_stays_behind(whole: Run) -> None:
    kept_apart = {".dvc", ".gitignore", ".lock"}  # DVC's own folder, and what guards each chain of snapshots
    hidden = {path.name for path in whole.root.rglob("*") if path.name.startswith(".")}
    assert hidden == kept_apart
    assert [path.name for path in whole.root.rglob("*.tmp")] == []


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_removal_log_has_exactly_its_columns_and_no_label(whole: Run, strategy: str) -> None:
    log = whole.table(f"{strategy}/removal_log.csv")
    assert tuple(log.columns) == LOG_COLUMNS
    # A path may tell a label, if the user's folders do; nothing else in the log can.
    words = {str(value) for column in log.drop(columns="path") for value in log[column]}
    assert not words & {*LABELS, *DEFECT_TYPES}


def test_the_audit_has_the_labels_that_the_log_has_not(whole: Run) -> None:
    audit = whole.table("iterative_refinement/removal_audit.csv")
    assert {"label", "defect_type"} <= set(audit.columns)
    assert len(audit) > 0
    assert set(audit["label"]) <= {"normal", "anomalous"}
    log = whole.table("iterative_refinement/removal_log.csv")
    assert list(audit["image_id"]) == list(log["image_id"])


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_the_refined_manifest_is_the_training_manifest_without_the_removed(whole: Run, strategy: str) -> None:
    training = whole.table("training_manifest.csv")
    # An image that left may have returned: what was decided last counts.
    decided = whole.table(f"{strategy}/removal_log.csv").groupby("image_id")["action"].last()
    gone = decided.index[decided == "removed"]
    expected = training[~training["image_id"].isin(gone)].reset_index(drop=True)
    refined = whole.table(f"{strategy}/refined_manifest.csv")
    doubtful, variant = refined.pop("doubtful"), refined.pop("variant")
    pd.testing.assert_frame_equal(refined, expected)
    assert doubtful.sum() == whole.table(f"{strategy}/cycle_history.csv")["doubtful"].iloc[-1]
    assert (doubtful.sum() > 0) == (strategy != "vanilla")
    assert variant.sum() == whole.table(f"{strategy}/cycle_history.csv")["variants"].iloc[-1]


def test_vanilla_removes_nothing_and_the_others_something(whole: Run) -> None:
    removed = {name: len(whole.table(f"{name}/removal_log.csv")) for name in STRATEGIES}
    assert removed["vanilla"] == 0
    assert removed["one_shot_removal"] > 0
    assert removed["iterative_refinement"] > 0


def test_every_strategy_spends_the_same_epochs(whole: Run, tiny: dict[str, Any]) -> None:
    spent = {name: whole.table(f"{name}/cycle_history.csv")["epochs"].iloc[-1] for name in STRATEGIES}
    assert spent == dict.fromkeys(STRATEGIES, tiny["training.epochs"])


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_metrics_tell_images_removals_contamination_and_cost(whole: Run, strategy: str) -> None:
    metrics = whole.json(f"{strategy}/metrics.json")
    assert set(metrics) == {
        "image",
        "pixel",
        "removals",
        "achieved_contamination",
        "loop",
        "threshold",
        "cost",
    }
    image, removals = metrics["image"], metrics["removals"]
    assert {"image_auroc", "image_auroc_interval", "average_precision", "f1", "fpr_at_95_tpr"} <= set(image)
    assert 0 <= metrics["pixel"]["aupro"] <= 1
    assert {"precision", "recall", "false_removal_rate", "ranking_average_precision"} <= set(removals)
    assert (image["n_images"], removals["n_images"]) == (N_TEST, N_TRAINING)
    assert 0 <= image["image_auroc"] <= 1
    assert metrics["achieved_contamination"] == pytest.approx(3 / N_TRAINING)


def test_the_oracle_trains_on_the_normal_images_alone(whole: Run) -> None:
    oracle = whole.json("oracle/metrics.json")
    assert (oracle["available"], oracle["n_training"]) == (True, N_NORMAL)


def test_the_summary_has_a_row_for_each_strategy_and_the_oracle(whole: Run) -> None:
    summary = whole.table("summary.csv")
    assert list(summary["strategy"]) == [*STRATEGIES, "oracle"]
    assert list(summary["cell"].unique()) == [whole.path("summary.csv").parent.name]
    report = whole.path("report.md").read_text()
    assert all(f"| {name} |" in report for name in summary["strategy"])


def test_the_terminal_shows_the_strategies_side_by_side_and_where_the_report_lies(whole: Run) -> None:
    end = whole.terminal.splitlines()[-15:]
    rows = {line.split()[0]: line for line in end if line.split()[:1] and line.startswith(" ")}
    assert {*STRATEGIES, "oracle", "strategy"} <= set(rows)
    shown = [rows[name] for name in ("strategy", *STRATEGIES, "oracle")]
    assert "AUROC" in shown[0]
    assert not any("…" in row for row in shown)
    assert end[-2:] == [
        "Snapshots and what left in each: kedro irp lineage",
        f"Report: {whole.path('report.html')}",
    ]


def test_the_parameters_of_a_run_stand_beside_its_results(whole: Run) -> None:
    kept = Parameters.model_validate(whole.json("parameters.json"))
    assert (kept.sample.normal_train, kept.training.epochs, kept.data_root) == (N_NORMAL, 4, str(whole.root))


def test_a_second_run_extracts_nothing_and_removes_the_same(whole: Run, again: Run) -> None:
    assert whole.json("feature_bank_record.json")["extracted"] == N_IMAGES
    second = again.json("feature_bank_record.json")
    assert (second["extracted"], second["reused"]) == (0, N_IMAGES)
    assert removals(again) == removals(whole)


def removals(run: Run) -> dict[str, list[dict[str, Any]]]:
    logs = {name: run.table(f"{name}/removal_log.csv").drop(columns="path") for name in STRATEGIES}
    return {name: log.to_dict(orient="records") for name, log in logs.items()}


def test_the_same_seed_gives_the_same_removals_and_the_same_auroc_elsewhere(whole: Run, piecewise: Run) -> None:
    assert removals(piecewise) == removals(whole)
    for name in (*STRATEGIES, "oracle"):
        here, there = (run.json(f"{name}/metrics.json")["image"] for run in (whole, piecewise))
        assert here == there


def test_pipelines_run_one_by_one_end_with_the_same_summary(whole: Run, piecewise: Run) -> None:
    costs = list(whole.json("vanilla/metrics.json")["cost"])
    tables = [run.table("summary.csv").drop(columns=costs) for run in (whole, piecewise)]
    pd.testing.assert_frame_equal(*tables)
    assert "iterative_refinement" in piecewise.terminal


def test_an_environment_and_a_parameter_change_only_the_keys_they_name(tmp_path: Path) -> None:
    asked = {"contamination": {"level": 0.5}, "refinement": {"max_cycles": 3}}
    # Unchecked, because checking would fill a lost key with its default, which is that of base.
    found = context_of(tmp_path, env="paper", **asked).config_loader["parameters"]
    assert found["contamination"] == {**Parameters().contamination.model_dump(), "level": 0.5}
    assert (found["backbone"], found["preparation"]["size"]) == ("alexnet", 448)
    rule = found["refinement"]
    assert (rule["max_cycles"], rule["policy"], rule["folds"]) == (3, "worst_only", 5)
    assert found["training"]["epochs"] == 400


def test_images_without_labels_end_in_a_removal_log(unlabelled: Run) -> None:
    log = unlabelled.table("iterative_refinement/removal_log.csv")
    assert tuple(log.columns) == LOG_COLUMNS
    assert len(log) > 0
    kept = unlabelled.table("iterative_refinement/refined_manifest.csv")
    assert len(log) + len(kept) == N_UNLABELLED
    assert set(kept["label"]) == {"unknown"}


def test_images_without_labels_have_no_auroc_and_no_oracle(unlabelled: Run) -> None:
    for name in STRATEGIES:
        metrics = unlabelled.json(f"{name}/metrics.json")
        assert metrics["image"] == {"labels_known": False, "n_images": 0}
        assert set(metrics["removals"]) == {
            "n_images",
            "n_removed",
            "n_doubtful",
            "n_variants",
            "labels_known",
        }
        assert metrics["achieved_contamination"] is None
    assert unlabelled.json("oracle/metrics.json")["available"] is False
    assert list(unlabelled.table("summary.csv")["strategy"]) == list(STRATEGIES)


def test_a_run_without_labels_says_that_none_was_known(unlabelled: Run) -> None:
    assert "No label was known" in " ".join(unlabelled.terminal.split())
    assert "No label was known" in unlabelled.path("report.md").read_text()
    assert "AUROC" not in unlabelled.terminal


def test_the_tables_over_all_cells_hold_those_of_other_seeds_too(
    whole: Run, run_project: RunProject, tmp_path: Path
) -> None:
    shutil.copytree(whole.root, tmp_path / "data")
    own = next((tmp_path / "data" / "08_reporting").glob("*/summary.csv"))
    other = own.parents[1] / "another-seed" / own.name
    other.parent.mkdir()
    text = {"setting": str, "configuration": str}  # digests, of which some would pass for numbers
    pd.read_csv(own, dtype=text).assign(cell="another-seed", seed=1).to_csv(other, index=False)
    run_project(tmp_path / "data", "reporting")
    table = pd.read_csv(own.parents[1] / "auroc_by_contamination.csv")
    assert table["cells"].tolist() == [2] * 4
