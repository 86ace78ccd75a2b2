"""Grids of the embedded sample, planned on top of conf/base as the code has it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from irp_kedro.datasets.grid_records import CellRecord
from irp_kedro.grid.cells import GridCell, expand
from irp_kedro.grid.plan import GridPlan
from irp_kedro.parameters import Parameters

PlanOf = Callable[..., GridPlan]
CellsOf = Callable[..., list[GridCell]]


@pytest.fixture(scope="session")
def base() -> dict[str, Any]:
    return Parameters().model_dump(mode="json")


@pytest.fixture(scope="session")
def plan_of() -> PlanOf:
    def make(**asked: Any) -> GridPlan:
        return GridPlan.model_validate({"name": "a", "seeds": [0], **asked})

    return make


@pytest.fixture(scope="session")
def cells_of(plan_of: PlanOf, base: dict[str, Any]) -> CellsOf:
    def make(params: dict[str, Any] | None = None, /, **asked: Any) -> list[GridCell]:
        return expand(plan_of(**asked), base, params or {})

    return make


@pytest.fixture(scope="session")
def record_of() -> Callable[..., CellRecord]:
    def make(cell: GridCell, status: str = "done", **told: Any) -> CellRecord:
        return CellRecord.model_validate({"digest": cell.digest, "cell": cell.name, "status": status, **told})

    return make


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], Path]:
    def make(text: str) -> Path:
        path = tmp_path / "grid.yml"
        path.write_text(text, encoding="utf-8")
        return path

    return make
