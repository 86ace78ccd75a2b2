"""``kedro irp grid`` as a user runs it: sessions in workers, killed, resumed, on another scheduler."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
import torch
import yaml
from click.testing import CliRunner
from omegaconf import OmegaConf

from irp_kedro.cli import cli
from irp_kedro.grid.cluster import local_client

PROJECT = Path(__file__).parents[2]
N_IMAGES = 24 + 8 + 16  # of the tiny sample
PATIENCE = 240  # seconds
# What differs from run to run though nothing else does.
COSTS = re.compile(r"seconds|per_second|images_extracted|images_reused|peak_memory")


@dataclass(frozen=True)
class Root:
    """A data root and what lies below it."""

    path: Path

    def results(self) -> pd.DataFrame:
        table = pd.read_csv(self.path / "08_reporting" / "grid" / "tiny" / "results.csv")
        return table.drop(columns=[column for column in table if COSTS.search(column)])

    def costs(self) -> pd.DataFrame:
        return pd.read_csv(self.path / "08_reporting" / "grid" / "tiny" / "results.csv")

    def records(self) -> dict[str, dict[str, Any]]:
        files = (self.path / "grid" / "cells").glob("*.json")
        return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files}

    def logs(self) -> dict[str, pd.DataFrame]:
        """Every removal log, without the places of images."""
        layer = self.path / "05_model_input"
        files = sorted(layer.glob("*/*/removal_log.csv"))
        return {
            str(file.relative_to(layer)): pd.read_csv(file, dtype={"image_id": str}).drop(columns="path")
            for file in files
        }


def same(one: Root, other: Root) -> None:
    pd.testing.assert_frame_equal(one.results(), other.results())
    assert one.logs().keys() == other.logs().keys()
    for name, log in one.logs().items():
        pd.testing.assert_frame_equal(log, other.logs()[name])
    for table in ("auroc_by_contamination.csv", "removals_by_contamination.csv", "class_spread.csv"):
        texts = [(root.path / "08_reporting" / "grid" / "tiny" / table).read_text() for root in (one, other)]
        assert texts[0] == texts[1]


@pytest.fixture(scope="module")
def new_root(
    tmp_path_factory: pytest.TempPathFactory, make_dvc_repository: Callable[[Path], None]
) -> Callable[[], Root]:
    def make() -> Root:
        root = tmp_path_factory.mktemp("root")
        make_dvc_repository(root)
        return Root(root)

    return make


@pytest.fixture(scope="module")
def file_of(tiny: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    def make(**asked: Any) -> Path:
        content = {"name": "tiny", "params": tiny, "axes": {"contamination.level": [0.0, 0.4]}, **asked}
        path = tmp_path_factory.mktemp("grid") / "tiny.yml"
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        return path

    return make


def command(file: Path, root: Root, *options: str) -> list[str]:
    place = f"data_root={root.path},lineage.root={root.path / 'lineage'}"
    asked = ["irp", "grid", "--grid", str(file), "--params", place, *options]
    return [sys.executable, "-m", "kedro", *asked]


def run(file: Path, root: Root, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(file, root, *options),
        cwd=PROJECT,
        env={**os.environ, "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@contextlib.contextmanager
def started(file: Path, root: Root, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A grid that runs in a process group of its own, as one started in a terminal does."""
    with subprocess.Popen(
        command(file, root, *options),
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def wait_for(what: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.05)
    raise TimeoutError("it did not happen")


def workers_of(process: subprocess.Popen[str]) -> list[int]:
    """Its worker processes: those of its children that Dask has spawned."""
    children = psutil.Process(process.pid).children()
    return [child.pid for child in children if "spawn_main" in " ".join(child.cmdline())]


def is_alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@pytest.fixture(scope="module")
def two_cells(file_of: Callable[..., Path], new_root: Callable[[], Root]) -> tuple[Path, Root, str]:
    """Two cells that start together in two workers."""
    file, root = file_of(), new_root()
    done = run(file, root, "--workers", "2", "--threads", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    return file, root, done.stdout


@pytest.mark.slow
def test_a_grid_ends_in_one_row_a_cell_and_strategy(two_cells: tuple[Path, Root, str]) -> None:
    _, root, terminal = two_cells
    table = root.results()
    assert table.groupby("level")["strategy"].count().to_dict() == {0.0: 4, 0.4: 4}
    assert set(table["grid"]) == {"tiny"}
    assert {record["status"] for record in root.records().values()} == {"done"}
    assert "2 of 2 cells done (2 of them now)." in terminal


@pytest.mark.slow
def test_a_grid_ends_in_tables_figures_and_a_page(two_cells: tuple[Path, Root, str]) -> None:
    _, root, _ = two_cells
    folder = root.path / "08_reporting" / "grid" / "tiny"
    names = {path.name for path in folder.glob("*.*")}
    assert names == {
        "results.csv",
        "auroc_by_contamination.csv",
        "removals_by_contamination.csv",
        "recovery_by_contamination.csv",
        "class_spread.csv",
        "paper_comparison.csv",
        "report.md",
    }
    figures = {path.name for path in (folder / "figures").glob("*/*.png")}
    assert figures == {f"grid_{name}_figure.png" for name in ("impact", "sources", "sets", "removals")}
    assert "## Table 1" in (folder / "report.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_cells_that_start_together_extract_each_image_once(two_cells: tuple[Path, Root, str]) -> None:
    _, root, _ = two_cells
    assert len({record["worker"] for record in root.records().values()}) == 2
    vanilla = root.costs().query("strategy == 'vanilla'")
    assert vanilla["images_extracted"].sum() == N_IMAGES
    assert vanilla["images_reused"].sum() == N_IMAGES


@pytest.mark.slow
def test_cells_of_a_grid_have_their_lineage_and_their_own_report(two_cells: tuple[Path, Root, str]) -> None:
    _, root, _ = two_cells
    for record in root.records().values():
        chain = root.path / "lineage" / record["cell"] / "iterative_refinement"
        assert (chain / "cycle_000" / "lineage.json").is_file()
        assert (root.path / "08_reporting" / record["cell"] / "report.md").is_file()


@pytest.mark.slow
def test_tables_over_all_cells_hold_the_grid_s(two_cells: tuple[Path, Root, str]) -> None:
    _, root, _ = two_cells
    table = pd.read_csv(root.path / "08_reporting" / "auroc_by_contamination.csv")
    assert set(table["level"]) == {0.0, 0.4}


@pytest.mark.slow
def test_the_tables_of_the_recovery_study_come_from_a_grid_s_results(two_cells: tuple[Path, Root, str]) -> None:
    _, root, _ = two_cells
    script = [sys.executable, "studies/recovery/tables.py", "--grid", "tiny", "--reports"]
    done = subprocess.run(
        [*script, str(root.path / "08_reporting")], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    refined = root.results().query("strategy == 'iterative_refinement' and level == 0.4").iloc[0]
    table = done.stdout.split("### Default configuration")[1].split("###")[0]
    (row,) = (line for line in table.splitlines() if line.startswith("| sample | 0.4 |"))
    assert f"| {refined.image_auroc:.3f} ± 0.000 |" in row
    assert f"| {refined.bad_removed:.0f} of " in row


@pytest.mark.slow
def test_a_finished_grid_has_nothing_to_do_and_its_plan_says_so(two_cells: tuple[Path, Root, str]) -> None:
    file, root, _ = two_cells
    before = root.records()
    told = json.loads(run(file, root, "--dry-run", "--json").stdout)
    assert [cell["state"] for cell in told["cells"]] == ["done", "done"]
    assert told["estimate"]["seconds"] == 0
    again = run(file, root, "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["failed"] == {}
    assert root.records() == before


def test_without_the_extra_a_grid_can_be_planned_and_says_what_to_install_where_it_runs(
    file_of: Callable[..., Path], new_root: Callable[[], Root], tmp_path: Path
) -> None:
    file, root = file_of(), new_root()
    (tmp_path / "distributed.py").write_text("raise ModuleNotFoundError('gone', name='distributed')\n")
    hidden = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    told = [
        subprocess.run(
            command(file, root, *options), cwd=PROJECT, env=hidden, capture_output=True, text=True, check=False
        )
        for options in (["--dry-run"], [])
    ]
    assert [done.returncode for done in told] == [0, 1]
    assert "'distributed' is not installed: pip install 'irp-kedro[grid]'" in told[1].stderr


@pytest.fixture
def planned(
    file_of: Callable[..., Path], new_root: Callable[[], Root], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., int]]:
    """With how many workers a plan of eight cells reckons, made in this process."""
    monkeypatch.chdir(PROJECT)
    file, root = file_of(seeds=[0, 1, 2, 3]), new_root()

    def call(device: str, *options: str) -> int:
        asked = [*options, "--params", f"data_root={root.path},device={device}"]
        done = CliRunner().invoke(cli, ["irp", "grid", "--grid", str(file), "--dry-run", "--json", *asked])
        assert done.exit_code == 0, done.output
        return int(json.loads(done.stdout)["estimate"]["workers"])

    yield call
    for name in ("cell", "data_root", "grid", "lineage_folder", "lineage"):
        OmegaConf.clear_resolver(name)


def test_a_plan_reckons_with_one_worker_a_gpu_where_cells_run_on_them(
    planned: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr("irp_kedro.grid.estimate.usable_cores", lambda: 5)
    assert [planned("auto"), planned("cuda"), planned("cpu")] == [3, 3, 5]
    assert planned("auto", "--workers", "9") == 8  # no more than there are cells


def test_a_plan_reckons_with_the_workers_of_its_scheduler(planned: Callable[..., int]) -> None:
    with local_client(workers=3, threads=1, gpus=False) as client:
        assert planned("cpu", "--scheduler", client.scheduler.address) == 3


@pytest.fixture(scope="module")
def one_process(file_of: Callable[..., Path], new_root: Callable[[], Root]) -> tuple[Path, Root]:
    """Four cells, one after the other, undisturbed."""
    file, root = file_of(seeds=[0, 1]), new_root()
    done = run(file, root, "--workers", "1", "--threads", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    return file, root


@pytest.mark.slow
def test_a_killed_worker_and_then_a_killed_grid_go_on_where_they_were(
    one_process: tuple[Path, Root], new_root: Callable[[], Root]
) -> None:
    file, undisturbed = one_process
    root = new_root()
    cells = root.path / "grid" / "cells"
    with started(file, root, "--workers", "1", "--threads", "1") as process:
        wait_for(root.records)
        second = wait_for(lambda: [log for log in cells.glob("*.log") if not log.with_suffix(".json").exists()])
        wait_for(lambda: "extract_features" in second[0].read_text(encoding="utf-8"))
        (worker,) = workers_of(process)
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda: len(root.records()) == 2)
        pids = {record["worker"].split(":")[1] for record in root.records().values()}
        assert str(worker) in pids
        assert len(pids) == 2  # the cell was given to the next worker
        wait_for(lambda: len(list(cells.glob("*.log"))) == 3)
        (worker,) = workers_of(process)
        os.kill(process.pid, signal.SIGKILL)  # no handler, no farewell
        process.wait()
        wait_for(lambda: not is_alive(worker))
    finished = root.records()
    assert 2 <= len(finished) < 4
    done = run(file, root, "--workers", "1", "--threads", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert {digest: root.records()[digest] for digest in finished} == finished
    assert f"4 of 4 cells done ({4 - len(finished)} of them now)." in done.stdout
    same(root, undisturbed)


@pytest.mark.slow
def test_workers_of_a_scheduler_that_is_there_already_give_the_same_tables(
    one_process: tuple[Path, Root], new_root: Callable[[], Root], tmp_path: Path
) -> None:
    file, alone = one_process
    root = new_root()
    with dask_cluster(tmp_path, workers=2) as address:
        done = run(file, root, "--scheduler", address, "--threads", "1")
        assert done.returncode == 0, done.stdout + done.stderr
        # Its workers are there for the next grid.
        assert run(file, new_root(), "--scheduler", address, "--dry-run").returncode == 0
    assert len({record["worker"] for record in root.records().values()}) == 2
    same(root, alone)


@contextlib.contextmanager
def dask_cluster(folder: Path, *, workers: int) -> Iterator[str]:
    """A scheduler and its workers, started by Dask's own commands on the loopback."""
    file = folder / "scheduler.json"
    place = ["--scheduler-file", str(file), "--no-dashboard"]
    asked = [["scheduler", "--host", "127.0.0.1", "--port", "0", *place]]
    asked += [["worker", "--nthreads", "1", "--host", "127.0.0.1", *place] for _ in range(workers)]
    with contextlib.ExitStack() as stack:
        processes = []
        for number, words in enumerate(asked):
            if number == 1:
                wait_for(file.is_file)
            command = [sys.executable, "-m", "dask", *words]
            processes.append(stack.enter_context(subprocess.Popen(command, stderr=subprocess.DEVNULL)))
        try:
            yield str(json.loads(file.read_text(encoding="utf-8"))["address"])
        finally:
            for process in reversed(processes):
                process.terminate()


@pytest.mark.slow
def test_a_failing_cell_is_reported_while_the_rest_goes_on(
    file_of: Callable[..., Path], new_root: Callable[[], Root], tmp_path: Path
) -> None:
    nowhere = {"dataset.name": "image_folder", "dataset.path": str(tmp_path / "nowhere")}
    file, root = file_of(axes={}, include=[nowhere, {"contamination.level": 0.4}]), new_root()
    done = run(file, root, "--workers", "1", "--threads", "1")
    assert done.returncode == 1
    assert "does not exist" in done.stderr
    assert "1 of 2 cells done" in done.stdout
    assert set(root.results()["dataset"]) == {"sample"}
    by_status = {record["status"]: record for record in root.records().values()}
    assert by_status["failed"]["attempts"] == 2
    plan = run(file, root, "--dry-run")
    assert plan.returncode == 0
    assert "2 cells: 1 done, 1 to do" in plan.stdout


@pytest.mark.slow
def test_control_c_ends_a_grid_and_its_workers(
    file_of: Callable[..., Path], new_root: Callable[[], Root]
) -> None:
    file, root = file_of(seeds=[0, 1, 2]), new_root()
    with started(file, root, "--workers", "2", "--threads", "1") as process:
        wait_for(lambda: len(list((root.path / "grid" / "cells").glob("*.log"))) >= 2)
        workers = workers_of(process)
        assert len(workers) == 2
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the grid and all its workers
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "The same command goes on." in said
    wait_for(lambda: not any(map(is_alive, workers)))
