"""Notebooks are committed as they are written, not as they ran: no outputs, so no images and no paths."""

import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


def cells(notebook: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return found


def test_there_is_a_notebook_for_newcomers() -> None:
    assert "first_steps.ipynb" in {path.name for path in NOTEBOOKS}


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_outputs_and_counts_are_stripped(notebook: Path) -> None:
    code = [cell for cell in cells(notebook) if cell["cell_type"] == "code"]
    assert [cell["id"] for cell in code if cell["outputs"] or cell["execution_count"] is not None] == []


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.name)
def test_parameters_stand_in_one_cell_and_are_the_defaults(notebook: Path) -> None:
    tagged = [
        "".join(cell["source"]) for cell in cells(notebook) if "parameters" in cell["metadata"].get("tags", [])
    ]
    assert tagged == ["params = {}"]
