"""Archives unpacked once, whole or not at all, and never outside their folder."""

import gzip
import json
import logging
import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

from irp_kedro.datasets.archive_safety import check_members
from irp_kedro.errors import DownloadError, SourceError

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz")
MARKER = ".extracted.json"
BY_HAND = "Unpack it yourself and pass the folder: --params dataset.path=FOLDER"
DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    KeyError,  # a hard link to a member that is not there
    ValueError,
)
logger = logging.getLogger(__name__)


def is_extracted(folder: Path) -> bool:
    """Return whether ``folder`` is a whole extraction of some archive."""
    return (folder / MARKER).is_file()


def extract_archive(archive: Path, into: Path) -> Path:
    """Unpack ``archive`` to the folder ``into``, unless that has been done, and return ``into``.

    Everything goes to a folder beside it first, which takes the name ``into`` once it is whole. A note in the
    folder keeps size and time of the archive, so that another archive replaces it and the same one does not.

    Args:
        archive: one of :data:`SUFFIXES`, or a file without suffix that holds one of those formats.
        into: folder that belongs to this function; it need not exist yet.

    Raises:
        SourceError: the archive is missing, of another kind, needs more space than is free or holds a member
            that would be written or would point outside ``into``; or ``into`` holds something else.
        DownloadError: the archive is incomplete or damaged.
    """
    if not archive.is_file():
        raise SourceError(f"There is no archive '{archive}'; check dataset.path.")
    staging = into.with_name(f".{into.name}.part")
    try:
        is_zip = _is_zip(archive)
        into.parent.mkdir(parents=True, exist_ok=True)
        with only_process(into):
            if not _is_extracted(archive, into):
                shutil.rmtree(staging, ignore_errors=True)
                try:
                    _unpack(archive, staging, is_zip=is_zip)
                    _put_in_place(staging, into)
                finally:
                    shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        raise SourceError(f"'{archive}' cannot be unpacked to '{into}': {error.strerror or error}.") from error
    return into


@contextmanager
def only_process(path: Path) -> Iterator[None]:
    """Keep ``path`` to this process: a second one waits here until the first has left."""
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        logger.info("%s: another process is working on it; waiting for that to end", path)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def byte_progress(*, shown: bool = True) -> Progress:
    """Return a bar of bytes, speed and time left on stderr; it vanishes when done, and a log file gets none."""
    console = Console(stderr=True)
    return Progress(
        "{task.description}",
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not (shown and console.is_terminal),
    )


def _is_zip(archive: Path) -> bool:
    """Return whether the archive is a zip; if not, it is a tar."""
    name = archive.name.lower()
    if name.endswith(SUFFIXES):
        return name.endswith(".zip")
    # An address such as https://example.org/set gives no suffix; there the first bytes tell.
    with archive.open("rb") as file:
        head = file.read(512)
    is_tar = head.startswith((b"\x1f\x8b", b"\xfd7zXZ")) or head[257:262] == b"ustar"
    if "." not in name and (is_tar or head.startswith(b"PK")):
        return not is_tar
    raise SourceError(
        f"'{archive}' is no archive that can be unpacked here; known: {', '.join(SUFFIXES)}. {BY_HAND}"
    )


def _identity(archive: Path) -> dict[str, object]:
    status = archive.stat()
    return {"archive": archive.name, "bytes": status.st_size, "mtime_ns": status.st_mtime_ns}


def _is_extracted(archive: Path, into: Path) -> bool:
    marker = into / MARKER
    if marker.is_file():
        return marker.read_text(encoding="utf-8") == json.dumps(_identity(archive))
    # Only what carries our note may be replaced; anything else might be a user's only copy.
    if into.exists() and any(into.iterdir()):
        raise SourceError(
            f"'{archive}' is to be unpacked to '{into}', which holds other files. Move them out of the way."
        )
    return False


def _unpack(archive: Path, staging: Path, *, is_zip: bool) -> None:
    identity = json.dumps(_identity(archive))
    try:
        with (
            byte_progress() as progress,
            progress.open(archive, "rb", description=f"unpacking {archive.name}") as raw,
            zipfile.ZipFile(raw) if is_zip else tarfile.open(fileobj=raw) as opened,
        ):
            check_members(archive, opened, staging)
            if isinstance(opened, tarfile.TarFile):
                opened.extraction_filter = tarfile.data_filter
            staging.mkdir()
            opened.extractall(staging)  # noqa: S202 - checked above, and filtered once more here
    except DAMAGE as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DownloadError(
            f"'{archive}' cannot be read: {reason}. It is incomplete or damaged: delete it and run again to "
            "download it anew, or put a whole copy in its place."
        ) from error
    except RuntimeError as error:  # encrypted, or compressed by a method that Python lacks
        raise SourceError(f"'{archive}' cannot be unpacked here: {error}. {BY_HAND}") from error
    (staging / MARKER).write_text(identity, encoding="utf-8")


def _put_in_place(staging: Path, into: Path) -> None:
    old = into.with_name(f".{into.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if into.exists():
        into.rename(old)
    staging.rename(into)
    shutil.rmtree(old, ignore_errors=True)
