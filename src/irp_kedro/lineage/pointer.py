"""``.dvc`` files, which tell git the hash of an object in DVC's cache, and the MD5 by which DVC knows files."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from irp_kedro.errors import LineageError


def md5(content: bytes) -> str:
    """Return the MD5 of bytes, 32 hex digits: DVC's name for them, no protection against malice."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def file_md5(path: Path) -> str:
    """Return the MD5 of a file, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def read_pointer(folder: Path, name: str) -> str:
    """Return the hash that the pointer of ``name`` in ``folder`` holds.

    Raises:
        LineageError: there is no such pointer, or it is not one.
    """
    path = folder / f"{name}.dvc"
    try:
        digest = str(yaml.safe_load(path.read_text(encoding="utf-8"))["outs"][0]["md5"])
    except FileNotFoundError as error:
        raise LineageError(f"The pointer '{path}' is missing.") from error
    except (yaml.YAMLError, LookupError, TypeError, ValueError) as error:
        raise LineageError(f"'{path}' is no DVC pointer: {error}") from error
    if not re.fullmatch(r"[0-9a-f]{32}(\.dir)?", digest):
        raise LineageError(f"'{path}' is no DVC pointer: its md5 is '{digest}'.")
    return digest


def write_pointer(folder: Path, out: Mapping[str, Any]) -> None:
    """Write the pointer of ``out["path"]`` in ``folder`` as ``dvc add`` does."""
    text = yaml.safe_dump({"outs": [dict(out)]}, sort_keys=False)
    (folder / f"{out['path']}.dvc").write_text(text, encoding="utf-8")
