"""Where cells run: processes of this machine, one a GPU where there are some, or a scheduler elsewhere.

The only module of the room, beside :mod:`irp_kedro.grid.execution`, that needs the extra ``grid``.
"""

import importlib.util
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dask
from distributed import Client, LocalCluster

from irp_kedro.errors import GridError

# Read by the libraries behind torch and numpy when they are loaded, so they must be there before.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
# Workers tell each other's comings and goings on the terminal, where the live table is.
QUIET = {"DASK_LOGGING__DISTRIBUTED": "critical"}
# Dask has workers give memory back at once. Tensors that come and go are then mapped anew each time: five times
# the page faults, and half as much CPU time again for a training (docs/decisions/0031).
NOT_TRIMMED = {"distributed.nanny.pre-spawn-environ.MALLOC_TRIM_THRESHOLD_": None}
GPU = {"GPU": 1.0}
PATIENCE = 30  # seconds, for a scheduler to answer


class GpuCluster(LocalCluster):  # type: ignore[misc]
    """A local cluster whose workers see one GPU each, and offer it as the resource ``GPU``."""

    def new_worker_spec(self) -> dict[Any, Any]:
        """Return the specification of the next worker: the GPU that its number says."""
        ((name, spec),) = super().new_worker_spec().items()
        # With MIG or a restriction from outside, ordinals count within what is visible.
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        gpu = visible.split(",")[int(name)] if visible else str(name)
        env = {**spec["options"].get("env", {}), "CUDA_VISIBLE_DEVICES": gpu}
        return {name: {**spec, "options": {**spec["options"], "env": env, "resources": GPU}}}


@contextmanager
def local_client(*, workers: int, threads: int, gpus: bool) -> Iterator[Client]:
    """Yield a client of worker processes on this machine, ended with it.

    Args:
        workers: processes; each runs one cell at a time.
        threads: of torch and numpy in each of them.
        gpus: each worker has a GPU of its own.
    """
    kind = GpuCluster if gpus else LocalCluster
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    variables = {**dict.fromkeys(THREAD_VARIABLES, str(threads)), **QUIET}
    with _variables(variables), dask.config.set(NOT_TRIMMED):
        cluster = kind(
            n_workers=0,
            threads_per_worker=1,
            processes=True,
            dashboard_address=":0" if _has_dashboard() else None,
            # Images and models are not Dask's to spill, and a worker killed for them would lose its cell.
            memory_limit=0,
            silence_logs=logging.CRITICAL,
        )
        with cluster, Client(cluster) as client:
            cluster.scale(workers)
            client.wait_for_workers(workers, timeout=120)
            yield client


@contextmanager
def remote_client(address: str, *, gpus: bool) -> Iterator[Client]:
    """Yield a client of a scheduler that was started elsewhere; its workers stay.

    Raises:
        GridError: nothing answers there, or it has no worker of the kind that is needed.
    """
    try:
        client = Client(address, timeout=PATIENCE)
    except (OSError, ValueError) as error:
        raise GridError(
            f"No Dask scheduler answers at '{address}': {error}. Start one: dask scheduler"
        ) from error
    with client:
        offered = worker_resources(client)
        if not offered:
            raise GridError(
                f"The scheduler at '{address}' has no worker. Start some, in the environment and the folder of "
                f"this project: dask worker {address} --nthreads 1"
            )
        if gpus and not any(resources.get("GPU") for resources in offered):
            raise GridError(
                f"device asks for a GPU, and no worker of '{address}' offers one: dask worker {address} "
                "--nthreads 1 --resources GPU=1"
            )
        yield client


def worker_resources(client: Client) -> list[Mapping[str, float]]:
    """Return what each worker offers beside its threads."""
    workers = client.scheduler_info(n_workers=-1)["workers"]
    return [worker["resources"] for worker in workers.values()]


def count_workers(client: Client, *, gpus: bool) -> int:
    """Return how many workers there are, or how many of them offer a GPU."""
    offered = worker_resources(client)
    return len([resources for resources in offered if resources.get("GPU")]) if gpus else len(offered)


def dashboard_address(client: Client) -> str:
    """Return where Dask's dashboard is, or nothing where there is none."""
    return str(client.dashboard_link) if _has_dashboard() else ""


def _has_dashboard() -> bool:
    return importlib.util.find_spec("bokeh") is not None


@contextmanager
def _variables(values: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for the processes that are started inside."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
