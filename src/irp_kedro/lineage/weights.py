"""The identity of a trained detector: its weights, whatever else its file says."""

import hashlib
import json
from pathlib import Path

from irp_kedro.errors import LineageError

BLOCK = 1 << 20


def weights_digest(path: Path) -> str:
    """Return 16 hex digits that identify the tensors of a safetensors file: names, shapes, types and values.

    The file's metadata are left out, so that a detector keeps its identity when its alarm threshold is set.

    Raises:
        LineageError: the file is missing or no safetensors file.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length)) if length <= path.stat().st_size else None
            if not isinstance(header, dict):
                raise ValueError("its first bytes are no header")
            header.pop("__metadata__", None)
            digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
            while block := file.read(BLOCK):
                digest.update(block)
    except FileNotFoundError as error:
        raise LineageError(f"No model at '{path}'.") from error
    except (OSError, ValueError) as error:
        raise LineageError(f"'{path}' is no safetensors file: {error}") from error
    return digest.hexdigest()[:16]
