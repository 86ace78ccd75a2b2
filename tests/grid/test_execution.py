from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from distributed import Client

from irp_kedro.datasets.grid_records import CellRecord, GridFolder
from irp_kedro.grid.cluster import local_client
from irp_kedro.grid.execution import execute
from irp_kedro.grid.work import CellTask
from irp_kedro.naming import cell_name, result_digest
from irp_kedro.parameters import check_parameters

PROJECT = Path(__file__).parents[2]


@dataclass
class Heard:
    """Keeps what it is told."""

    starts: list[str] = field(default_factory=list)
    ends: list[tuple[str, str, bool]] = field(default_factory=list)

    def started(self, digest: str, worker: str) -> None:
        assert worker
        self.starts.append(digest)

    def ended(self, record: CellRecord, *, again: bool) -> None:
        self.ends.append((record.digest, record.status, again))


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with local_client(workers=1, threads=1, gpus=False) as found:
        yield found


def task(folder: Path, seed: int) -> CellTask:
    """A cell whose images are nowhere."""
    overrides = {
        "data_root": str(folder),
        "lineage": {"root": str(folder / "lineage"), "mode": "plain"},
        "dataset": {"name": "image_folder", "path": str(folder / "nowhere")},
        "seed": seed,
    }
    told = check_parameters(overrides)
    return CellTask(
        project=PROJECT,
        data_root=folder,
        env="",
        overrides=overrides,
        digest=result_digest(told),
        cell=cell_name(told),
    )


def finish(done: CellTask) -> None:
    folder = GridFolder(done.data_root)
    folder.summary_path(done.cell).parent.mkdir(parents=True)
    folder.summary_path(done.cell).write_text("cell\n")
    folder.write(CellRecord(digest=done.digest, cell=done.cell, status="done"))


def test_a_failing_cell_is_tried_once_more_and_reported_while_the_rest_goes_on(
    client: Client, tmp_path: Path
) -> None:
    failing, fine = task(tmp_path, 0), task(tmp_path, 1)
    finish(fine)
    heard = Heard()
    records = {record.digest: record for record in execute(client, [failing, fine], heard)}
    assert records[fine.digest].status == "done"
    assert (records[failing.digest].status, records[failing.digest].attempts) == ("failed", 2)
    assert "does not exist" in records[failing.digest].error
    of_failing = [end for end in heard.ends if end[0] == failing.digest]
    assert of_failing == [(failing.digest, "failed", True), (failing.digest, "failed", False)]
    assert heard.starts.count(failing.digest) == 2
    assert GridFolder(tmp_path).read(failing.digest) == records[failing.digest]


def test_a_cell_whose_worker_dies_again_and_again_is_reported(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The worker looks the function up by name, and this one ends the worker's process at once.
    monkeypatch.setattr("irp_kedro.grid.execution.perform", _end_process)
    dying = task(tmp_path, 0)
    (record,) = execute(client, [dying], Heard())
    assert (record.status, record.attempts) == ("failed", 2)
    assert "KilledWorker" in record.error
    assert GridFolder(tmp_path).read(dying.digest) == record


def _end_process(_: CellTask) -> CellRecord:
    import os

    os._exit(1)


def test_no_cells_are_no_work(client: Client) -> None:
    assert execute(client, [], Heard()) == []
