"""A set of images as DVC's directory object: names and MD5s, no bytes.

The object's own MD5 identifies the set. It is what ``dvc add`` gives a folder of the same files (tested),
so that any DVC user can check it without this project.
"""

import json
from collections.abc import Mapping
from typing import Any

from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.tree import Tree


def tree_of(digests: Mapping[str, str]) -> Any:  # noqa: ANN401 - dvc-data has no types
    """Return the directory object of files given as name: MD5; ``.oid`` is its hash, ``….dir``."""
    tree = Tree()
    for name, digest in digests.items():
        tree.add((name,), None, HashInfo("md5", digest))
    tree.digest()
    return tree


def digests_in(content: bytes) -> dict[str, str]:
    """Return name: MD5 of every file that the bytes of a directory object list.

    Raises:
        ValueError: the bytes list no files.
    """
    try:
        return {str(entry["relpath"]): str(entry["md5"]) for entry in json.loads(content)}
    except (TypeError, LookupError) as error:
        raise ValueError(f"no list of files: {error}") from error
