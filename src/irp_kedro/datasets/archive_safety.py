"""What may come out of an archive: files and folders that stay in the folder they are unpacked to."""

import shutil
import stat
import tarfile
import zipfile
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import NamedTuple

from irp_kedro.errors import SourceError

BLOCK = 512  # bytes, the unit of the tar format


class _Member(NamedTuple):
    """One entry of an archive: its name, its size in bytes, and why it must not be written ("" if it may)."""

    name: str
    size: int
    fault: str


def check_members(archive: Path, opened: zipfile.ZipFile | tarfile.TarFile, folder: Path) -> None:
    """Look at every member before any is written.

    Args:
        archive: path of the archive, for messages.
        opened: the same archive, open.
        folder: where it is to be unpacked; it need not exist, its parent must.

    Raises:
        SourceError: a member would be written or would point outside ``folder``, is a device, or there is not
            enough space for all of them.
        EOFError: a tar ends too early.
    """
    members = _tar_members(opened, folder) if isinstance(opened, tarfile.TarFile) else _zip_members(opened)
    for member in members:
        if member.fault:
            raise SourceError(
                f"'{archive}' holds '{member.name}', which {member.fault}. Nothing was unpacked. Get the "
                "archive from its publisher, or unpack it yourself: --params dataset.path=FOLDER"
            )
    needed, free = sum(member.size for member in members), shutil.disk_usage(folder.parent).free
    if needed > free:
        raise SourceError(
            f"'{archive}' unpacks to {needed / 1e9:.1f} GB; '{folder.parent}' has {free / 1e9:.1f} GB left. "
            "Make room there, or set data_root to a folder on a larger disk."
        )


def _zip_members(opened: zipfile.ZipFile) -> list[_Member]:
    members = []
    for info in opened.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)
        # Python would write a link in a zip as a text file: refusing it loses nothing.
        strange = "is neither a file nor a folder" if kind not in (0, stat.S_IFREG, stat.S_IFDIR) else ""
        members.append(_Member(info.orig_filename, info.file_size, _name_fault(info.orig_filename) or strange))
    return members


def _tar_members(opened: tarfile.TarFile, folder: Path) -> list[_Member]:
    entries = opened.getmembers()
    _require_end(opened)
    return [_Member(entry.name, entry.size, _tar_fault(entry, folder)) for entry in entries]


def _tar_fault(entry: tarfile.TarInfo, folder: Path) -> str:
    # A link that only leads downwards stays inside however links are chained, which no look at names alone,
    # and so not tarfile's filter before extraction, could tell of one with '..'.
    leading_out = _name_fault(entry.linkname) if entry.issym() or entry.islnk() else ""
    fault = _name_fault(entry.name) or (leading_out and f"is a link to '{entry.linkname}', which {leading_out}")
    if not fault:
        try:
            tarfile.data_filter(entry, str(folder))
        except tarfile.FilterError as error:
            return f"is unsafe: {error}"
    return fault


def _require_end(opened: tarfile.TarFile) -> None:
    """Refuse a tar that stops early: Python takes a cut or damaged header for the end.

    Raises:
        EOFError: the closing block of zeros is missing, or followed by more than zeros.
    """
    stream = opened.fileobj
    if stream is None or stream.tell() - opened.offset < BLOCK:
        raise EOFError("its end is missing")
    while rest := stream.read(1 << 20):
        if rest.strip(b"\0"):
            raise EOFError(f"the header at byte {opened.offset} is damaged")


def _name_fault(name: str) -> str:
    if name.startswith("/") or PureWindowsPath(name).drive:
        return "is an absolute path"
    if ".." in PurePosixPath(name).parts:
        return "leaves the folder"
    return "has a name that is not portable" if "\\" in name or "\0" in name else ""
