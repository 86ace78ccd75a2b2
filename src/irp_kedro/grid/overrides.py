"""Parameters that lie on others: dotted or nested, merged as Kedro merges them."""

from collections.abc import Mapping
from typing import Any


def nested(dotted: Mapping[str, Any]) -> dict[str, Any]:
    """Return keys such as ``contamination.level`` as groups.

    >>> nested({"contamination.level": 0.3, "seed": 1})
    {'contamination': {'level': 0.3}, 'seed': 1}
    """
    tree: dict[str, Any] = {}
    for key, value in dotted.items():
        *groups, last = key.split(".")
        branch: Any = {last: value}
        for group in reversed(groups):
            branch = {group: branch}
        tree = merged(tree, branch)
    return tree


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``above`` laid softly over ``below``, as Kedro merges parameters: other keys of a group stay.

    >>> merged({"views": {"bank": 8, "train": 4}}, {"views": {"bank": 2}})
    {'views': {'bank': 2, 'train': 4}}
    """
    both = {**below, **above}
    for key in below.keys() & above.keys():
        if isinstance(below[key], Mapping) and isinstance(above[key], Mapping):
            both[key] = merged(below[key], above[key])
    return both


def dotted(tree: Mapping[str, Any], prefix: str = "") -> set[str]:
    """Return the names of a tree's leaves.

    >>> sorted(dotted({"views": {"bank": 8}, "seed": 1}))
    ['seed', 'views.bank']
    """
    found: set[str] = set()
    for key, value in tree.items():
        found |= dotted(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}"}
    return found
