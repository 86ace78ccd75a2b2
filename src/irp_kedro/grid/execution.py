"""Give cells to workers, try a failed one once more, and keep how each ended."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol
from uuid import uuid4

from distributed import Client, Future, as_completed, get_worker

from irp_kedro.datasets.grid_records import CellRecord, GridFolder
from irp_kedro.grid.work import CellTask, run_cell

TOPIC = "irp-grid"
ATTEMPTS = 2


class Observer(Protocol):
    """Is told what happens, as it happens."""

    def started(self, digest: str, worker: str) -> None:
        """A worker has begun a cell."""

    def ended(self, record: CellRecord, *, again: bool) -> None:
        """A cell has ended; ``again`` where it failed and is tried once more."""


def execute(
    client: Client, tasks: Sequence[CellTask], observer: Observer, *, resources: dict[str, float] | None = None
) -> list[CellRecord]:
    """Run every cell and return how each ended, in the order in which they ended.

    Args:
        client: of the cluster.
        tasks: the cells, the most urgent one first.
        observer: told of each start and end.
        resources: what a cell takes of a worker, such as ``{"GPU": 1}``.
    """
    run = uuid4().hex[:8]  # a scheduler that stays keeps the results of earlier runs under their keys
    asked: dict[Future, CellTask] = {}

    def submit(task: CellTask, urgency: int) -> Future:
        future = client.submit(
            perform,
            task,
            key=f"cell-{task.digest}-{task.attempt}-{run}",
            resources=resources,
            priority=urgency,
            pure=False,
        )
        asked[future] = task
        return future

    client.subscribe_topic(TOPIC, lambda event: observer.started(*event[1]))
    waiting = as_completed([submit(task, -place) for place, task in enumerate(tasks)])
    ended = []
    for future in waiting:
        task = asked.pop(future)
        record = _outcome(future, task)
        again = record.status == "failed" and task.attempt < ATTEMPTS
        observer.ended(record, again=again)
        if again:
            waiting.add(submit(replace(task, attempt=task.attempt + 1), -len(tasks)))
        else:
            ended.append(record)
    return ended


def perform(task: CellTask) -> CellRecord:
    """Run a cell on the worker that this is, and say so."""
    worker = get_worker()
    worker.log_event(TOPIC, (task.digest, str(worker.name)))
    return run_cell(task)


def _outcome(future: Future, task: CellTask) -> CellRecord:
    if future.status == "finished":
        record: CellRecord = future.result()
        return record
    # run_cell raises nothing: its worker died, several times over.
    fault: Any = future.exception() if future.status == "error" else future.status
    record = CellRecord(
        digest=task.digest,
        cell=task.cell,
        status="failed",
        attempts=task.attempt,
        error=f"{type(fault).__name__}: {fault}",
    )
    folder = GridFolder(task.data_root)
    if not folder.is_done(task.digest):
        folder.write(record)
    return record
