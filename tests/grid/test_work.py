import logging
import os
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from kedro.framework.startup import bootstrap_project

from irp_kedro.datasets.grid_records import CellRecord, GridFolder
from irp_kedro.grid.work import CellTask, kept_apart, own_nodes, run_cell, shared_nodes
from irp_kedro.naming import cell_name, result_digest
from irp_kedro.parameters import check_parameters

PROJECT = Path(__file__).parents[2]

pytestmark = pytest.mark.usefixtures("no_resolvers_left")


@pytest.fixture
def task(tmp_path: Path) -> CellTask:
    """A cell that cannot be run: its images are nowhere, which its first node finds out."""
    overrides = {
        "data_root": str(tmp_path),
        "lineage": {"root": str(tmp_path / "lineage"), "mode": "plain"},
        "dataset": {"name": "image_folder", "path": str(tmp_path / "nowhere")},
    }
    parameters = check_parameters(overrides)
    return CellTask(
        project=PROJECT,
        data_root=tmp_path,
        env="",
        overrides=overrides,
        digest=result_digest(parameters),
        cell=cell_name(parameters),
    )


def test_a_cell_that_cannot_be_run_ends_in_a_record_with_its_error(task: CellTask) -> None:
    record = run_cell(task)
    assert (record.status, record.attempts, record.cell) == ("failed", 1, task.cell)
    assert "does not exist" in record.error
    folder = GridFolder(task.data_root)
    assert folder.read(task.digest) == record
    log = folder.log_path(task.digest).read_text(encoding="utf-8")
    assert "Traceback" in log
    assert record.worker.endswith(f":{os.getpid()}")


def test_a_worker_with_another_configuration_is_found_out(task: CellTask) -> None:
    record = run_cell(replace(task, digest="00000000"))
    assert record.status == "failed"
    assert f"this worker merged have digest {task.digest}, the plan's 00000000" in record.error


def finish(task: CellTask) -> CellRecord:
    folder = GridFolder(task.data_root)
    summary = folder.summary_path(task.cell)
    summary.parent.mkdir(parents=True)
    summary.write_text("cell\n")
    record = CellRecord(digest=task.digest, cell=task.cell, status="done", worker="another")
    folder.write(record)
    return record


def test_a_finished_cell_is_not_run_again(task: CellTask) -> None:
    done = finish(task)
    assert run_cell(task) == done


def test_who_comes_second_waits_for_the_first_and_finds_the_cell_done(task: CellTask) -> None:
    folder = GridFolder(task.data_root)
    folder.lock_path(task.digest).parent.mkdir(parents=True)
    ended: list[CellRecord] = []
    second = threading.Thread(target=lambda: ended.append(run_cell(task)))
    with FileLock(folder.lock_path(task.digest)):
        second.start()
        time.sleep(0.3)
        assert ended == []
        done = finish(task)
    second.join(timeout=30)
    assert ended == [done]


def test_a_cell_runs_every_node_but_those_over_all_cells() -> None:
    bootstrap_project(PROJECT)
    own, shared = own_nodes(), shared_nodes()
    assert {"read_images", "iterative_refinement.refine_training_set", "summarise_cell"} <= set(own)
    assert "tabulate_cells" in shared
    assert not set(own) & set(shared)


def test_what_is_printed_and_logged_goes_to_a_file_and_nothing_stays_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (Path.cwd(), sys.stdout, logging.root.handlers[:])
    log = tmp_path / "logs" / "cell.log"
    with kept_apart(tmp_path, log):
        sys.stdout.write("printed\n")
        sys.stderr.write("complained\n")
        logging.getLogger("irp_kedro").warning("logged")
        assert Path.cwd() == tmp_path
    assert (Path.cwd(), sys.stdout, logging.root.handlers) == before
    text = log.read_text(encoding="utf-8")
    assert [word for word in ("printed", "complained", "logged") if word not in text] == []
    assert capsys.readouterr() == ("", "")


def test_an_error_without_an_explanation_is_named_with_its_type(
    task: CellTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr("irp_kedro.grid.work.KedroSession.create", fail)
    assert run_cell(task).error == "ZeroDivisionError: by nothing"


def test_torch_takes_as_many_threads_as_the_task_says(task: CellTask, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    monkeypatch.setattr("torch.set_num_threads", told.append)
    run_cell(replace(task, threads=3))
    assert told == [3]
