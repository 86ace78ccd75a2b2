"""What is left of a grid, and about how long it takes."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from irp_kedro.datasets.grid_records import CellRecord
from irp_kedro.grid.cells import GridCell
from irp_kedro.grid.plan import AssumedCost
from irp_kedro.parameters import STRATEGIES

# A score is a forward pass; a training step is one forward and, twice as dear, one backward.
FORWARD_SHARE = 1 / 3


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Seconds that the cells to do will take one after the other, and what that is reckoned from."""

    seconds: float | None
    basis: str


@dataclass(frozen=True, kw_only=True)
class GridState:
    """A grid's cells with the records of those that have ended."""

    cells: Sequence[GridCell]
    records: Mapping[str, CellRecord]

    @property
    def done(self) -> list[GridCell]:
        """Finished cells."""
        return [cell for cell in self.cells if self.status(cell) == "done"]

    @property
    def todo(self) -> list[GridCell]:
        """Cells that a run would do: those that failed before are tried again."""
        return [cell for cell in self.cells if self.status(cell) != "done"]

    def made_by_other_code(self, code: str) -> list[GridCell]:
        """Return finished cells whose record names other code than ``code``."""
        return [cell for cell in self.done if self.records[cell.digest].code != code]

    @property
    def banks(self) -> dict[str, int]:
        """How many cells share each feature bank."""
        return dict(Counter(bank for cell in self.cells for bank in cell.banks))

    def status(self, cell: GridCell) -> str:
        """Return ``done``, ``failed`` or ``to do``."""
        record = self.records.get(cell.digest)
        return record.status if record else "to do"


def estimate(state: GridState, assumed: AssumedCost | None) -> Estimate:
    """Return the time of the cells to do: from finished cells of the same set, else of any, else as assumed."""
    seconds = {cell.digest: state.records[cell.digest].seconds for cell in state.done}
    if seconds:
        by_set: dict[str, list[float]] = {}
        for cell in state.done:
            by_set.setdefault(cell.set, []).append(seconds[cell.digest])
        usual = mean(seconds.values())
        total = sum(mean(by_set[cell.set]) if cell.set in by_set else usual for cell in state.todo)
        return Estimate(seconds=total, basis=f"from {len(seconds)} finished cells")
    if assumed is None:
        return Estimate(seconds=None, basis="no cell has finished yet")
    return Estimate(seconds=_assumed_seconds(state.todo, assumed), basis=assumed.basis)


def _assumed_seconds(cells: Sequence[GridCell], assumed: AssumedCost) -> float | None:
    total, extracted = 0.0, set()
    for cell in cells:
        counts = assumed.images.get(cell.set)
        if counts is None:
            return None
        if cell.banks[0] not in extracted:
            extracted.add(cell.banks[0])
            total += counts.all * cell.parameters.views.bank / assumed.extraction_views_per_second
        images = counts.normal + cell.parameters.contamination.level * counts.defects
        total += images * _views_per_image(cell) / assumed.training_views_per_second
    return total


def _views_per_image(cell: GridCell) -> float:
    """Return how many views of a training image pass the detector, a score counted as its share of a step."""
    told, loop = cell.parameters, cell.parameters.refinement
    trained = (len(STRATEGIES) + 1) * told.training.epochs * told.views.train  # the oracle is trained as well
    judges_itself = told.detector in (loop.judge or (told.detector,))
    scores = len(STRATEGIES) + 1 + (loop.max_cycles if judges_itself else 0)
    return trained + scores * told.views.score * FORWARD_SHARE


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share_cores(*, workers: int, threads: int, cells: int) -> tuple[int, int]:
    """Return how many workers, and how many threads each: never more threads than cores, unless asked for.

    Args:
        workers: asked for; 0: one a core, and not more than there are cells.
        threads: asked for; 0: the cores divided by the workers.
        cells: to do.
    """
    cores = usable_cores()
    workers = workers or max(1, min(cores, cells))
    return workers, threads or max(1, cores // workers)
