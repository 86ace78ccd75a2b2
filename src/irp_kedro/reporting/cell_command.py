"""The command that runs a cell again, with what a person changes."""

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from omegaconf import OmegaConf

from irp_kedro.parameters import Parameters

# A folder name of one's own would be written over, and a grid is no part of a plain run.
LEFT_OUT = {"cell", "grid"}


@dataclass(frozen=True, kw_only=True)
class RunCommand:
    """A ``kedro run`` as one types it.

    Attributes:
        text: for a shell, started in the project's folder.
        beyond: parameters, by dotted name, that ``--params`` cannot carry; they belong into a file below conf/.
    """

    text: str
    beyond: tuple[tuple[str, str], ...] = ()


def run_command(parameters: Mapping[str, Any], changed: Mapping[str, Any]) -> RunCommand:
    """Return the command that runs a cell again: everything that is not as conf/base has it, and the change.

    Args:
        parameters: of the cell, complete.
        changed: by dotted name, in place of the cell's own.
    """
    usual = dict(flat(Parameters().model_dump(mode="json")))
    wanted = {**dict(flat(parameters)), **changed}
    other = {key: value for key, value in wanted.items() if value != usual.get(key) and key not in LEFT_OUT}
    spelt = {key: _spelt(value) for key, value in other.items()}
    # Kedro separates parameters at every comma, whatever is around it.
    carried = [f"{key}={value}" for key, value in spelt.items() if "," not in value]
    beyond = tuple((key, value) for key, value in spelt.items() if "," in value)
    text = f"kedro run --params {shlex.quote(','.join(carried))}" if carried else "kedro run"
    return RunCommand(text=text, beyond=beyond)


def flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Return every leaf of a tree by its dotted name.

    >>> list(flat({"a": {"b": 1}, "c": 2}))
    [('a.b', 1), ('c', 2)]
    """
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _spelt(value: Any) -> str:  # noqa: ANN401 - a parameter
    if isinstance(value, str):
        # Text that would be read as something else, as a class called 1, stands in quotes.
        return value if OmegaConf.from_dotlist([f"x={value}"])["x"] in {value, None} else json.dumps(value)
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return "+".join(value)  # judges
    return json.dumps(value) if not isinstance(value, list) or value else ""
