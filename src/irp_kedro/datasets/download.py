"""Downloads that continue where they were cut, and arrive whole or not at all."""

import logging
import os
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pooch
import requests
from requests.adapters import HTTPAdapter
from rich.progress import Progress, TaskID
from urllib3 import Retry
from urllib3.exceptions import HTTPError, IncompleteRead

from irp_kedro.datasets.archive import byte_progress, extract_archive, only_process
from irp_kedro.datasets.partial_file import Note, PartialFile
from irp_kedro.errors import DownloadError

__all__ = ["extract_archive", "fetch"]

ATTEMPTS = 5
BACKOFF = 0.5  # seconds before the second attempt; doubles from there
TIMEOUT = (10, 60)  # seconds to connect, seconds of silence
CHUNK = 1 << 16  # bytes
BUSY = (429, 500, 502, 503, 504)  # answers worth another attempt
WHOLE, PARTIAL, UNSATISFIABLE = 200, 206, 416
BY_HAND = "Or download it yourself and pass it: --params dataset.path=ARCHIVE"
logger = logging.getLogger(__name__)


def fetch(url: str, *, folder: Path, checksum: str | None, progress: bool = True) -> Path:
    """Download ``url`` into ``folder``, unless it is there already, and return the file.

    What arrives is kept in a ``.part`` file beside the target until it is whole; a later call continues it, if
    the server still has the same file. Two processes that want the same file take turns.

    Args:
        url: http or https; redirects are followed.
        folder: made where it is missing.
        checksum: ``algorithm:hexdigest``, such as ``sha256:…``; ``None`` trusts the file and logs its own.
        progress: whether to show a bar on stderr, where that is a terminal.

    Raises:
        DownloadError: the server cannot be reached, has no such file or sends another one than ``checksum``
            promises; or the file cannot be written.
    """
    # pooch would say again what is logged here, in terms of its own arguments.
    pooch.get_logger().setLevel(logging.WARNING)
    target = folder.absolute() / _file_name(url)
    part = PartialFile(target.with_name(f"{target.name}.part"))
    download = _Download(part, shown=progress, announced=checksum is None)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with only_process(target):
            try:
                pooch.retrieve(url, checksum, fname=target.name, path=target.parent, downloader=download)
            except ValueError as error:
                part.discard()
                reason = f"{error} Run again to start anew. {BY_HAND}"
                raise DownloadError(f"'{url}' was fetched in vain. {reason}") from error
            part.discard()
    except OSError as error:
        reason = f"{error.strerror or error}. Make room there, or set data_root to another folder."
        raise DownloadError(f"'{target}' cannot be written: {reason}") from error
    return target


@dataclass(frozen=True)
class _Download:
    """What pooch calls to fetch a file; its own downloader starts from zero each time."""

    part: PartialFile
    shown: bool
    announced: bool

    def __call__(self, url: str, output_file: str, _pooch: object) -> None:
        with _session() as session, byte_progress(shown=self.shown) as bar:
            task = bar.add_task(urlsplit(url).netloc, total=None)
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    _receive(session, url, self.part, bar, task)
                    break
                except requests.RequestException as error:
                    raise _failure(url, _reason(error), self.part) from error
                except HTTPError as error:
                    if attempt == ATTEMPTS:
                        raise _failure(url, f"cut {ATTEMPTS} times ({error})", self.part) from error
                    logger.info("%s: cut after %d bytes; going on from there", url, self.part.size())
                    time.sleep(BACKOFF * 2 ** (attempt - 1))
        if self.announced:
            logger.info("%s: arrived, sha256:%s", url, pooch.file_hash(self.part.path))
        _hand_over(self.part.path, Path(output_file))


def _receive(session: requests.Session, url: str, part: PartialFile, bar: Progress, task: TaskID) -> None:
    """Add to the part what it lacks.

    Raises:
        HTTPError: of urllib3: the connection was cut.
        RequestException: there was none.
        DownloadError: the server has something else to say.
    """
    note = part.read_note(url)
    if note.total and part.size() == note.total:
        return  # a process died between the last byte and the end of the check
    with _ask(session, url, part) as response:
        if response.status_code == WHOLE and "html" not in response.headers.get("Content-Type", ""):
            note = Note.from_headers(response.headers)
            part.restart(url, note)
            _require_space(url, part, note.total)
        elif response.status_code != PARTIAL:
            raise _failure(url, _refusal(response), part)
        bar.reset(task, total=note.total or None, completed=part.size())
        with part.path.open("ab") as file:
            for chunk in response.raw.stream(CHUNK, decode_content=False):
                file.write(chunk)
                bar.advance(task, len(chunk))
    if note.total and part.size() != note.total:
        raise IncompleteRead(part.size(), note.total - part.size())


def _ask(session: requests.Session, url: str, part: PartialFile) -> requests.Response:
    """Ask for the rest of the part, or for the whole file where the rest is not to be had."""
    validator, size = part.read_note(url).validator, part.size()
    if validator and size:
        headers = {"Range": f"bytes={size}-", "If-Range": validator}
        response = session.get(url, headers=headers, stream=True, timeout=TIMEOUT)
        starts_there = response.headers.get("Content-Range", "").startswith(f"bytes {size}-")
        # Some servers know no If-Range and send the rest of a new file.
        same = Note.from_headers(response.headers).validator in ("", validator)
        changed = response.status_code == PARTIAL and not (starts_there and same)
        if not changed and response.status_code != UNSATISFIABLE:
            return response
        response.close()
    return session.get(url, stream=True, timeout=TIMEOUT)


def _session() -> requests.Session:
    retry = Retry(
        total=ATTEMPTS - 1,
        connect=2,  # nobody without a network likes to wait
        backoff_factor=BACKOFF,
        status_forcelist=BUSY,
        raise_on_status=False,
        respect_retry_after_header=False,  # it may ask for hours
    )
    session = requests.Session()
    session.mount("http://", HTTPAdapter(max_retries=retry))
    session.mount("https://", HTTPAdapter(max_retries=retry))
    # Bytes as they lie on the server: only those can be counted and continued.
    session.headers.update({"Accept-Encoding": "identity", "User-Agent": "irp-kedro"})
    return session


def _hand_over(part: Path, output_file: Path) -> None:
    output_file.unlink(missing_ok=True)
    try:
        # A second name, so that the part outlives a process that is killed while pooch checks the file.
        os.link(part, output_file)
    except OSError:  # this file system has no hard links
        part.replace(output_file)


def _require_space(url: str, part: PartialFile, total: int) -> None:
    free = shutil.disk_usage(part.path.parent).free
    if total > free:
        reason = f"it has {total / 1e9:.1f} GB, but '{part.path.parent}' has only {free / 1e9:.1f} GB left"
        raise _failure(url, reason, part)


def _refusal(response: requests.Response) -> str:
    if response.status_code == WHOLE:
        return "the server sent a web page instead of a file (does it ask for a login or a licence?)"
    return f"the server answered {response.status_code} {response.reason}"


def _reason(error: requests.RequestException) -> str:
    cause = error.args[0] if error.args else error
    return f"no connection ({getattr(cause, 'reason', cause)})"


def _failure(url: str, reason: str, part: PartialFile) -> DownloadError:
    kept = (
        f"{part.size()} bytes are kept: run again to go on from there." if part.size() else "Try again later."
    )
    return DownloadError(f"'{url}' could not be downloaded: {reason}. {kept} {BY_HAND}")


def _file_name(url: str) -> str:
    name = re.split(r"[/\\]", unquote(urlsplit(url).path).rstrip("/\\"))[-1]
    return re.sub(r"[^\w.+-]", "_", name).lstrip(".") or "download"
