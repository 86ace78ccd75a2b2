import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from distributed import wait

from irp_kedro.errors import GridError
from irp_kedro.grid.cluster import (
    GPU,
    THREAD_VARIABLES,
    count_workers,
    dashboard_address,
    local_client,
    remote_client,
    worker_resources,
)


def variable(name: str) -> str:
    return os.environ.get(name, "")


def who_am_i() -> tuple[int, str]:
    time.sleep(0.2)
    return os.getpid(), os.environ.get("CUDA_VISIBLE_DEVICES", "")


def test_workers_are_processes_that_know_how_many_threads_they_have() -> None:
    with local_client(workers=2, threads=3, gpus=False) as client:
        found = {name: client.run(variable, name) for name in THREAD_VARIABLES}
        trimmed = client.run(variable, "MALLOC_TRIM_THRESHOLD_")
        pids = set(client.run(os.getpid).values())
        told = worker_resources(client)
        assert (count_workers(client, gpus=False), count_workers(client, gpus=True)) == (2, 0)
        assert dashboard_address(client).startswith("http://")
    assert {value for values in found.values() for value in values.values()} == {"3"}
    assert len(pids - {os.getpid()}) == 2
    assert set(trimmed.values()) == {""}
    assert not any("GPU" in resources for resources in told)


def test_the_variables_of_this_process_are_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    with local_client(workers=1, threads=2, gpus=False):
        pass
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "MKL_NUM_THREADS" not in os.environ


@pytest.mark.parametrize(("visible", "expected"), [(None, {"0", "1"}), ("5,GPU-a", {"5", "GPU-a"})])
def test_where_there_are_gpus_each_cell_has_one_to_itself(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, expected: set[str]
) -> None:
    # No GPU is touched: what counts is which one a worker would see.
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with local_client(workers=2, threads=1, gpus=True) as client:
        assert [resources["GPU"] for resources in worker_resources(client)] == [1, 1]
        assert count_workers(client, gpus=True) == 2
        futures = [client.submit(who_am_i, resources=GPU, pure=False) for _ in range(4)]
        wait(futures)
        seen = client.gather(futures)
    assert {gpu for _, gpu in seen} == expected
    assert len(set(seen)) == 2


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    file = tmp_path_factory.mktemp("scheduler") / "address.json"
    command = [
        sys.executable,
        "-m",
        "dask",
        "scheduler",
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--no-dashboard",
    ]
    with subprocess.Popen([*command, "--scheduler-file", str(file)], stderr=subprocess.DEVNULL) as process:
        yield _address(file)
        process.terminate()


def _address(file: Path) -> str:
    for _ in range(300):
        if file.is_file() and file.read_text(encoding="utf-8"):
            return str(json.loads(file.read_text(encoding="utf-8"))["address"])
        time.sleep(0.1)
    raise TimeoutError(file)


def test_a_scheduler_without_workers_is_refused(scheduler: str) -> None:
    with (
        pytest.raises(GridError, match=f"no worker.*dask worker {scheduler}"),
        remote_client(scheduler, gpus=False),
    ):
        pass


def test_a_scheduler_whose_workers_have_no_gpu_is_refused_where_one_is_asked_for(scheduler: str) -> None:
    command = [sys.executable, "-m", "dask", "worker", scheduler, "--nthreads", "1", "--no-dashboard"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(300):
                try:
                    with remote_client(scheduler, gpus=False) as client:
                        assert len(worker_resources(client)) == 1
                    break
                except GridError:
                    time.sleep(0.1)
            with pytest.raises(GridError, match="--resources GPU=1"), remote_client(scheduler, gpus=True):
                pass
        finally:
            process.terminate()


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense://x"])
def test_an_address_where_nothing_answers_is_refused(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setattr("irp_kedro.grid.cluster.PATIENCE", 1)
    with pytest.raises(GridError, match="No Dask scheduler answers"), remote_client(address, gpus=False):
        pass
