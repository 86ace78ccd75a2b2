"""`dvc repro` in a copy of the project that is a repository of its own, on a set that takes seconds."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import OmegaConf

from irp_kedro.parameters import STRATEGIES

PROJECT = Path(__file__).parents[2]
COPIED = (
    *("conf", "src", "studies", "dvc.yaml", "pyproject.toml", ".telemetry"),
    *(".dvc/config", ".dvc/.gitignore", ".dvcignore", ".gitignore", "data/lineage/.gitkeep"),
)
STAGES = {"ingestion", "contamination", "features", "refinement", "evaluation", "oracle", "reporting"}
N_IMAGES = 24 + 8 + 16  # of the tiny sample
STUDY = "studies/contamination/dvc.yaml"
ENVIRONMENT = {
    **os.environ,
    "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    "OMP_NUM_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    **{f"GIT_{who}_{what}": "a@b.example" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Clone:
    """A copy of the project that commands change."""

    folder: Path

    def run(self, *command: str) -> str:
        done = subprocess.run(
            command, cwd=self.folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def repro(self, *targets: str) -> set[str]:
        """Reproduce and return the stages that ran."""
        return {
            line.split("'")[1].rpartition(":")[2]
            for line in self.run("dvc", "repro", *targets).splitlines()
            if line.startswith("Running stage ")
        }

    def commit(self) -> None:
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--allow-empty", "--message", "run")

    def json(self, *command: str) -> Any:
        return json.loads(self.run(*command))

    def change(self, **values: Any) -> None:
        """Set parameters, each in the file of conf/base that holds it."""
        for key, value in values.items():
            (path,) = (path for path in self.parameter_files() if key.split(".")[0] in read(path))
            configuration = OmegaConf.create(read(path))
            OmegaConf.update(configuration, key, value)
            path.write_text(OmegaConf.to_yaml(configuration), encoding="utf-8")

    def parameter_files(self) -> list[Path]:
        return sorted((self.folder / "conf" / "base").glob("parameters*.yml"))

    def kill_repro_when(self, condition: Callable[[], bool]) -> None:
        """Start `dvc repro` and kill it and its children as soon as the condition holds."""
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(
            ["dvc", "repro"], cwd=self.folder, env=ENVIRONMENT, start_new_session=True, **silent
        ) as repro:
            while repro.poll() is None and not condition():
                time.sleep(0.02)
            assert repro.poll() is None, "it ended before it could be killed"
            os.killpg(repro.pid, signal.SIGKILL)

    def shards(self) -> int:
        return len(list((self.folder / "data/dvc/04_feature/store").glob("*/shard-*.json")))

    def runs(self) -> set[str]:
        """Which runs made the snapshots of iterative_refinement."""
        records = self.folder.glob("data/lineage/*/iterative_refinement/*/lineage.json")
        return {str(read(path)["provenance"]["run"]) for path in records}

    def snapshots(self) -> dict[str, tuple[str, str]]:
        """The set and the model of every snapshot, by its name."""
        records = {
            path.parent.relative_to(self.folder).as_posix(): json.loads(path.read_text(encoding="utf-8"))
            for path in self.folder.glob("data/lineage/*/*/*/lineage.json")
        }
        return {name: (record["tree"], record["model"]) for name, record in records.items()}


def read(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def clone(tiny: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Clone:
    clone = Clone(tmp_path_factory.mktemp("clone"))
    for name in COPIED:
        source, target = PROJECT / name, clone.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            # What the study has written here; the package has a table of its own.
            written = ["*.csv", "dvc.lock"] if name == "studies" else []
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", *written))
        else:
            shutil.copy(source, target)
    clone.change(**tiny)
    clone.run("git", "init", "--quiet")
    clone.commit()
    return clone


@pytest.fixture(scope="module")
def first_run(clone: Clone) -> set[str]:
    """The stages that the first `dvc repro` ran; what it left is committed."""
    ran = clone.repro()
    clone.commit()
    return ran


@pytest.fixture
def reproduced(clone: Clone, first_run: set[str]) -> Clone:
    """Up to date, whatever parameters the tests before this one left."""
    clone.repro()
    clone.commit()
    return clone


def test_repro_runs_every_stage_and_a_second_one_runs_nothing(clone: Clone, first_run: set[str]) -> None:
    assert first_run == STAGES
    assert clone.repro() == set()


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("training.epochs", 5, {"refinement", "oracle", "evaluation", "reporting"}),
        ("evaluation.bootstrap_samples", 60, {"oracle", "evaluation", "reporting"}),
        (
            "features.batch_views",
            4,
            {"features", "evaluation", "reporting"},
        ),  # the bank is the same: no training
        ("device", "cpu", set()),
    ],
)
def test_a_changed_parameter_reruns_only_what_depends_on_it(
    reproduced: Clone, key: str, value: object, expected: set[str]
) -> None:
    reproduced.change(**{key: value})
    assert reproduced.repro() == expected
    assert reproduced.repro() == set()


def test_a_changed_comment_in_a_module_reruns_only_the_stages_that_run_it(reproduced: Clone) -> None:
    module = reproduced.folder / "src" / "irp_kedro" / "reporting" / "tables.py"
    module.write_text(module.read_text(encoding="utf-8") + "# changed\n", encoding="utf-8")
    assert reproduced.repro() == {"reporting"}


def test_snapshots_of_two_experiments_stay_side_by_side_and_survive_push_and_gc(
    reproduced: Clone, tmp_path: Path
) -> None:
    before = reproduced.snapshots()
    reproduced.change(**{"training.learning_rate": 0.0003})
    assert "refinement" in reproduced.repro()
    after = reproduced.snapshots()
    assert after.items() > before.items()
    assert len({name.split("/")[2] for name in after.keys() - before.keys()}) == 1
    reproduced.run("dvc", "remote", "add", "--force", "--default", "store", str(tmp_path / "store"))
    reproduced.run("dvc", "push", "--quiet")
    reproduced.run("dvc", "gc", "--workspace", "--force", "--quiet")
    assert "all whole" in reproduced.run("kedro", "irp", "verify")
    shutil.rmtree(reproduced.folder / ".dvc" / "cache")
    reproduced.run("dvc", "fetch", "--quiet")
    assert "all whole" in reproduced.run("kedro", "irp", "verify")


def test_a_plain_run_of_the_same_parameters_gives_the_same_snapshots_and_models(reproduced: Clone) -> None:
    before = reproduced.snapshots()
    reproduced.run("kedro", "run")
    assert reproduced.snapshots() == before
    assert reproduced.repro() == set()


def test_metrics_and_plots_of_every_strategy_are_shown_and_compared(reproduced: Clone) -> None:
    shown = reproduced.json("dvc", "metrics", "show", "--json")[""]["data"]
    assert {path.split("/")[-2] for path in shown} == {*STRATEGIES, "oracle"}
    assert all(0 <= file["data"]["image"]["image_auroc"] <= 1 for file in shown.values())
    content = yaml.safe_load((reproduced.folder / "dvc.yaml").read_text(encoding="utf-8"))
    plots = {name for plot in content["plots"] for name in plot}
    drawn = reproduced.json("dvc", "plots", "show", "--json")["data"]
    assert {name for name in plots if drawn[name] and all(values(plot) for plot in drawn[name])} == plots
    reproduced.change(**{"contamination.level": 0.4})
    reproduced.repro()
    changed = reproduced.json("dvc", "metrics", "diff", "--json")
    assert all("achieved_contamination" in changed[path] for path in shown if "oracle" not in path)


def values(plot: dict[str, Any]) -> list[Any]:
    content = plot["content"]
    return list((json.loads(content) if isinstance(content, str) else content)["data"]["values"])


def test_a_repro_killed_in_extraction_goes_on_from_the_images_already_done(reproduced: Clone) -> None:
    reproduced.change(**{"preparation.size": 96, "views.bank": 4, "features.shard_images": 8})
    before = reproduced.shards()
    reproduced.kill_repro_when(lambda: reproduced.shards() > before)
    bank = reproduced.folder / "data/dvc/04_feature/default/feature_bank_record.json"
    assert not bank.exists()
    assert "features" in reproduced.repro()
    extraction = json.loads(bank.read_text(encoding="utf-8"))
    assert extraction["reused"] > 0
    assert extraction["extracted"] + extraction["reused"] == N_IMAGES


def test_the_study_runs_by_its_own_name_and_extracts_each_image_once(reproduced: Clone) -> None:
    assert reproduced.repro(STUDY) == {"bank@sample", "cell@sample-0.1-0", "cell@sample-0.3-0", "tables"}
    assert reproduced.repro(STUDY) == set()
    root = reproduced.folder / "data" / "studies" / "contamination"
    extracted = {
        path.parent.name: json.loads(path.read_text(encoding="utf-8"))["extracted"]
        for path in root.glob("04_feature/*/feature_bank_record.json")
    }
    assert extracted == {"sample": N_IMAGES, "sample-level0.1-seed0": 0, "sample-level0.3-seed0": 0}
    table = (reproduced.folder / "studies/contamination/auroc_by_level.csv").read_text(encoding="utf-8")
    assert [line.split(",")[0] for line in table.splitlines()] == ["level", "0.1", "0.3"]


def test_a_repro_killed_in_the_loop_goes_on_from_the_last_checkpoint(reproduced: Clone) -> None:
    # One image a cycle: where all that may leave does so in the first, there is no second to be killed before.
    slowly = {"refinement.policy": "worst_only", "refinement.epochs_per_cycle": 600, "training.epochs": 1300}
    reproduced.change(**slowly)
    cell = "data/dvc/05_model_input/default/iterative_refinement"
    checkpoint = reproduced.folder / cell / "snapshots" / "cycle_001" / "checkpoint.safetensors"
    before = reproduced.runs()
    reproduced.kill_repro_when(checkpoint.exists)
    (killed,) = reproduced.runs() - before
    assert "refinement" in reproduced.repro()
    assert killed in reproduced.runs()
    assert not checkpoint.exists()
