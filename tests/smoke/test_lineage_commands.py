"""`kedro irp lineage`, `diff`, `restore` and `verify` after a run, as a user types them."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from kedro.framework.startup import bootstrap_project
from PIL import Image

from irp_kedro.cli import cli
from irp_kedro.errors import LineageError
from irp_kedro.lineage.weights import weights_digest
from irp_kedro.parameters import STRATEGIES

PROJECT = Path(__file__).parents[2]
Command = Callable[..., Result]


@pytest.fixture(scope="module")
def root(run_project: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data root of a finished run; the test images lie below it."""
    folder = tmp_path_factory.mktemp("run")
    run_project(folder, **{"lineage.tree_every": 2})
    return folder


@pytest.fixture
def irp(root: Path, tiny: dict[str, Any], spelt: Any, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.chdir(PROJECT)
    monkeypatch.setenv("COLUMNS", "200")
    bootstrap_project(PROJECT)

    def call(command: str, *options: object, **params: object) -> Result:
        asked = {**tiny, "data_root": root, "lineage.root": root / "lineage", **params}
        return CliRunner().invoke(cli, ["irp", command, "--params", spelt(asked), *map(str, options)])

    return call


def parsed(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def table(root: Path, name: str) -> pd.DataFrame:
    (path,) = root.glob(f"05_model_input/*/{name}")
    return pd.read_csv(path, keep_default_na=False)


def md5s(folder: Path) -> list[str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return sorted(hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() for path in files)


def gone_by(log: pd.DataFrame, cycle: int) -> pd.DataFrame:
    """Return the removals that hold after ``cycle``: of images that had not returned by then."""
    last = log[log["cycle"] <= cycle].drop_duplicates("image_id", keep="last")
    return last[last["action"] == "removed"]


def test_every_cycle_of_every_strategy_is_listed_with_counts_that_agree_with_the_removal_logs(
    irp: Command, root: Path
) -> None:
    rows = parsed(irp("lineage", "--json"))
    for strategy in STRATEGIES:
        history = table(root, f"{strategy}/cycle_history.csv")
        log = table(root, f"{strategy}/removal_log.csv")
        listed = [row for row in rows if row["strategy"] == strategy]
        assert [row["cycle"] for row in listed] == history["cycle"].tolist()
        assert [row["images"] for row in listed] == history["images"].tolist()
        for action in ("removed", "restored"):
            logged = log.loc[log["action"] == action, "cycle"]
            assert [row[action] for row in listed] == [(logged == cycle).sum() for cycle in history["cycle"]]
    assert sum(row["removed"] for row in rows) > 0


def test_the_table_names_each_snapshot_and_the_set_it_came_from(irp: Command) -> None:
    shown = irp("lineage", "--strategy", "iterative_refinement").stdout.splitlines()
    first, second, *_ = (line.split() for line in shown if line.startswith("iterative_refinement/"))
    assert first[0] == "iterative_refinement/0"
    assert second[5] == first[4]
    assert not any(line.startswith(("vanilla", "one_shot")) for line in shown)


def test_a_model_file_names_its_snapshot_and_a_snapshot_its_model_file(irp: Command, root: Path) -> None:
    (model,) = root.glob("06_models/*/vanilla/model.safetensors")
    (row,) = parsed(irp("lineage", "--model", model, "--json"))
    assert row["snapshot"].endswith("vanilla/cycle_000")
    shown = parsed(irp("lineage", row["snapshot"], "--json"))
    assert Path(shown["model_file"]) == model
    assert shown["model"] == row["model"] != ""
    assert str(model) in irp("lineage", "vanilla/last").stdout.replace("\n", "")


def test_a_model_from_elsewhere_is_said_to_be_unknown(irp: Command, root: Path, tmp_path: Path) -> None:
    (model,) = root.glob("06_models/*/vanilla/model.safetensors")
    other = tmp_path / "other.safetensors"
    content = model.read_bytes()
    other.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    result = irp("lineage", "--model", other)
    assert result.exit_code == 1
    assert "No snapshot here had the model" in result.output


def test_the_way_from_the_first_cycle_to_the_last_is_the_removal_log(irp: Command, root: Path) -> None:
    log = table(root, "iterative_refinement/removal_log.csv")
    found = parsed(irp("diff", "iterative_refinement/0", "iterative_refinement/last", "--json"))
    gone = gone_by(log, log["cycle"].max())
    assert not gone.empty
    assert [row["image_id"] for row in found["removed"]] == gone["image_id"].tolist()
    assert [row["decision"]["cycle"] for row in found["removed"]] == gone["cycle"].tolist()
    assert found["restored"] == []
    back = parsed(irp("diff", "iterative_refinement/last", "iterative_refinement/0", "--json"))
    assert len(back["restored"]) == len(gone)
    shown = irp("diff", "iterative_refinement/0", "iterative_refinement/last").stdout
    assert f"{len(gone)} removed, 0 restored" in shown


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_cycle_is_restored_byte_for_byte(irp: Command, root: Path, tmp_path: Path, strategy: str) -> None:
    (path,) = root.glob("03_primary/*/training_manifest.csv")
    training = pd.read_csv(path, keep_default_na=False)
    log = table(root, f"{strategy}/removal_log.csv")
    for cycle in table(root, f"{strategy}/cycle_history.csv")["cycle"]:
        gone = set(gone_by(log, cycle)["image_id"])
        target = tmp_path / str(cycle)
        result = irp("restore", ".", "--strategy", strategy, "--cycle", cycle, "--to", target)
        assert result.exit_code == 0, result.output
        assert md5s(target) == sorted(training.loc[~training["image_id"].isin(gone), "digest"])


def test_original_names_come_back_with_their_folders(irp: Command, tmp_path: Path) -> None:
    irp("restore", ".", "--cycle", 0, "--to", tmp_path / "images", "--originals")
    assert {path.name for path in (tmp_path / "images").iterdir()} == {"test", "train"}


def test_a_folder_that_holds_something_is_left_alone(irp: Command, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    result = irp("restore", ".", "--to", tmp_path)
    assert result.exit_code == 1
    assert "name a new folder" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_all_is_whole_after_a_run(irp: Command) -> None:
    result = irp("verify")
    assert result.exit_code == 0
    assert "all whole" in result.output


def test_what_is_missing_is_named_and_ends_with_status_one(irp: Command, root: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(root, copy, ignore=shutil.ignore_patterns("0?_*"))
    (path,) = root.glob("03_primary/*/training_manifest.csv")
    image = pd.read_csv(path).iloc[0]
    (copy / ".dvc/cache/files/md5" / image["digest"][:2] / image["digest"][2:]).unlink()
    result = irp("verify", "--json", **{"lineage.root": copy / "lineage"})
    assert result.exit_code == 1
    (fault,) = json.loads(result.stdout)["faults"]  # once, though all strategies need the image
    assert f"image {image['image_id']}.png" in fault
    assert "is missing" in fault


@pytest.mark.parametrize(
    ("command", "arguments", "message"),
    [
        ("diff", ["iterative_refinment/0", "vanilla/0"], "did you mean 'iterative_refinement'?"),
        ("diff", ["iterative_refinement", "vanilla/0"], "write [CELL/]STRATEGY/CYCLE"),
        ("restore", ["smple", "--to", "x"], "No snapshots of a cell 'smple'"),
        ("restore", [".", "--cycle", "99", "--to", "x"], "has no cycle '99'"),
        ("lineage", ["--model", "no/model.safetensors"], "No model at 'no/model.safetensors'"),
        ("verify", ["smple"], "No snapshots of a cell 'smple'"),
    ],
)
def test_a_wrong_name_ends_in_one_message(
    irp: Command, command: str, arguments: list[str], message: str
) -> None:
    result = irp(command, *arguments)
    assert result.exit_code == 1
    assert message in result.output
    assert "Traceback" not in result.output


def test_plain_mode_keeps_snapshots_without_dvc(run_project: Any, irp: Command, tmp_path: Path) -> None:
    folder, plain = tmp_path / "run", {"lineage.root": tmp_path / "lineage", "lineage.mode": "plain"}
    run_project(folder, **plain)
    assert not list((tmp_path / "lineage").rglob("*.dvc"))
    assert irp("verify", **plain).exit_code == 0
    assert irp("restore", ".", "--to", tmp_path / "images", **plain).exit_code == 0
    rows = parsed(irp("lineage", "sample", "--strategy", "iterative_refinement", "--json", **plain))
    assert len(md5s(tmp_path / "images")) == rows[-1]["images"]


def test_the_prepared_images_can_be_what_snapshots_hold(run_project: Any, irp: Command, tmp_path: Path) -> None:
    asked = {"lineage.content": "prepared", "preparation.size": 48}
    folder = tmp_path / "run"
    run_project(folder, **asked)
    asked["lineage.root"] = folder / "lineage"
    assert irp("verify", **asked).exit_code == 0
    assert irp("restore", ".", "--to", tmp_path / "images", **asked).exit_code == 0
    for path in (tmp_path / "images").iterdir():
        with Image.open(path) as image:
            assert (image.size, image.format) == ((48, 48), "PNG")


def test_a_folder_outside_any_dvc_repository_is_refused_before_anything_is_computed(
    run_project: Any, tmp_path: Path
) -> None:
    with pytest.raises(LineageError, match=r"lies in no DVC repository.*lineage\.mode=plain"):
        run_project(tmp_path / "run", **{"lineage.root": tmp_path / "lineage"})
    assert [path.name for path in (tmp_path / "run").iterdir()] == [".dvc"]


def test_the_cell_of_the_records_does_not_follow_the_folder_of_the_files(
    run_project: Any, irp: Command, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    run_project(folder, cell="mine")
    assert [path.name for path in (folder / "05_model_input").iterdir()] == ["mine"]
    rows = parsed(irp("lineage", "--json", **{"lineage.root": folder / "lineage"}))
    assert {row["provenance"]["cell"][:6] for row in rows} == {"sample"}


def test_a_run_killed_between_cycles_goes_on_and_ends_as_an_unbroken_one(
    irp: Command,
    run_project: Any,
    *,
    tiny: dict[str, Any],
    spelt: Any,
    make_dvc_repository: Any,
    tmp_path: Path,
) -> None:
    # Most epochs come after the last removal.
    long = {"training.epochs": 120, "refinement.judge": "differnet", "refinement.patience": 3}
    killed, unbroken = tmp_path / "killed", tmp_path / "unbroken"
    make_dvc_repository(killed)
    asked = {**tiny, **long, "data_root": killed, "lineage.root": killed / "lineage"}
    command = [sys.executable, "-m", "kedro", "run", "--params", spelt(asked)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=subprocess.DEVNULL) as process:
        # The record's copy is written last: before it is there, a kill takes the run back to the cycle before.
        while not list(killed.glob("05_model_input/*/iterative_refinement/snapshots/cycle_001/lineage.json")):
            assert process.poll() is None
            time.sleep(0.002)
        process.kill()
    assert not list(killed.glob("lineage/*/iterative_refinement/cycle_002"))
    checked = parsed(irp("verify", "--json", **{"lineage.root": killed / "lineage"}))
    assert (len(checked["faults"]), len(checked["unfinished"])) == (0, 1)
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "iterative_refinement goes on after cycle 1" in " ".join(done.stdout.split())
    run_project(unbroken, **long)
    for strategy in STRATEGIES:
        logs = [table(folder, f"{strategy}/removal_log.csv") for folder in (killed, unbroken)]
        pd.testing.assert_frame_equal(*(log.drop(columns="path") for log in logs))
        assert weights(killed, strategy) == weights(unbroken, strategy)


def weights(root: Path, strategy: str) -> str:
    (model,) = root.glob(f"06_models/*/{strategy}/model.safetensors")
    return weights_digest(model)


def test_file_names_with_brackets_are_shown_as_they_are(run_project: Any, irp: Command, tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for number in range(16):
        top = 256 if number > 13 else 96
        pixels = np.random.default_rng(number).integers(top // 2, top, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(images / f"{number:03d}[red].png")
    asked = {"dataset.name": "image_folder", "dataset.path": images, "refinement.mad_factor": 2}
    folder = tmp_path / "run"
    run_project(folder, **asked)
    asked["lineage.root"] = folder / "lineage"
    shown = irp("diff", "iterative_refinement/0", "iterative_refinement/last", **asked).stdout
    assert "0 removed" not in shown
    assert "[red].png" in shown
