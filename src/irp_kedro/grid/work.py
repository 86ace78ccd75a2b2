"""One cell in a worker process: a Kedro session of its own, and a record written last."""

import contextlib
import logging
import os
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

from irp_kedro.datasets.grid_records import CellRecord, GridFolder
from irp_kedro.errors import GridError, IrpError
from irp_kedro.lineage.code_state import source_digest
from irp_kedro.lineage.saving import release_chains
from irp_kedro.naming import result_digest
from irp_kedro.parameters import check_parameters

logger = logging.getLogger(__name__)

# A session's resolvers, current folder and standard output belong to the whole process.
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class CellTask:
    """What a worker needs to run a cell.

    Attributes:
        project: folder of the Kedro project, the same for all workers.
        data_root: absolute, the same for all workers.
        env: Kedro's environment.
        overrides: nested parameters on top of it.
        digest: of the parameters that must come out.
        cell: folder of its files.
        threads: of torch; 0 leaves that to the worker.
        attempt: how often it has been tried, this time included.
    """

    project: Path
    data_root: Path
    env: str
    overrides: Mapping[str, Any]
    digest: str
    cell: str
    threads: int = 0
    attempt: int = 1


def run_cell(task: CellTask) -> CellRecord:
    """Run a cell unless it is done, and return how it ended; never raises, so that the rest can go on.

    Whoever comes second, because a scheduler gave a cell up or because another grid runs it too, waits for the
    first and finds it done.
    """
    folder = GridFolder(task.data_root)
    folder.record_path(task.digest).parent.mkdir(parents=True, exist_ok=True)
    with _ONE_AT_A_TIME, FileLock(folder.lock_path(task.digest)):
        found = folder.read(task.digest)
        if found is not None and found.status == "done":
            return found
        started = time.perf_counter()
        with kept_apart(task.project, folder.log_path(task.digest)):
            error = _outcome(task)
        record = CellRecord(
            digest=task.digest,
            cell=task.cell,
            status="failed" if error else "done",
            attempts=task.attempt,
            seconds=round(time.perf_counter() - started, 3),
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            code=source_digest(),
            worker=f"{socket.gethostname()}:{os.getpid()}",
            error=error,
        )
        folder.write(record)
    return record


def _outcome(task: CellTask) -> str:
    """Run the session; return the error in a line or two, or nothing."""
    try:
        _run_session(task)
    except Exception as error:  # noqa: BLE001 - whatever ends a cell is reported, and the rest goes on
        traceback.print_exc()
        return _explain(error)
    finally:
        release_chains()  # the next attempt may be another worker's
    return ""


def _run_session(task: CellTask) -> None:
    _set_threads(task.threads)
    bootstrap_project(task.project)
    session = KedroSession.create(task.project, env=task.env or None, runtime_params=dict(task.overrides))
    with session:
        found = result_digest(check_parameters(session.load_context().params))
        if found != task.digest:
            raise GridError(
                f"The parameters that this worker merged have digest {found}, the plan's {task.digest}: its "
                "conf/ or its version of irp-kedro is another. Let all workers see the same project."
            )
        session.run(node_names=own_nodes())


def own_nodes() -> list[str]:
    """Return the nodes of a whole run but those over all cells, whose files several cells would write."""
    shared = set(shared_nodes())
    return [node.name for node in pipelines["__default__"].nodes if node.name not in shared]


def shared_nodes() -> list[str]:
    """Return the nodes of a whole run that are over all cells."""
    return [node.name for node in pipelines["__default__"].from_inputs("cell_results").nodes]


def _set_threads(threads: int) -> None:
    if threads:
        import torch  # noqa: PLC0415 - after the variables that its libraries read are set

        torch.set_num_threads(threads)


@contextlib.contextmanager
def kept_apart(project: Path, log: Path) -> Iterator[None]:
    """Work in the project's folder, and send what is printed and logged to a file instead of the terminal."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as file, contextlib.chdir(project):
        handler = logging.StreamHandler(file)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        before = logging.root.handlers[:]
        logging.root.handlers[:] = [handler]
        try:
            with contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
                yield
        finally:
            logging.root.handlers[:] = before
            sys.stdout.flush()


def _explain(error: BaseException) -> str:
    """Return an error's own explanation where there is one behind it, and its type and text elsewhere."""
    behind: BaseException | None = error
    while behind is not None:
        if isinstance(behind, IrpError):
            return str(behind)
        behind = behind.__cause__ or behind.__context__
    return f"{type(error).__name__}: {error}"
