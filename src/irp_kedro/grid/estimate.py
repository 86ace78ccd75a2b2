"""What is left of a grid, and about how long it takes."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from irp_kedro.datasets.grid_records import CellRecord
from irp_kedro.detectors.registry import DETECTORS
from irp_kedro.grid.cells import GridCell
from irp_kedro.grid.plan import AssumedCost
from irp_kedro.parameters import STRATEGIES

# A score is a forward pass; a training step is one forward and, twice as dear, one backward.
FORWARD_SHARE = 1 / 3
TRAININGS = len(STRATEGIES) + 1  # the oracle is trained as well


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """How long the cells to do will take.

    Attributes:
        seconds: one after the other; none: unknown.
        basis: what that is reckoned from.
        assumed: the rates are of some worker, which need not be one of this machine.
    """

    seconds: float | None
    basis: str
    assumed: bool = False


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
    return Estimate(seconds=_assumed_seconds(state.todo, assumed), basis=assumed.basis, assumed=True)


def _assumed_seconds(cells: Sequence[GridCell], assumed: AssumedCost) -> float | None:
    total, extracted = 0.0, set()
    for cell in cells:
        counts = assumed.images.get(cell.set)
        if counts is None:
            return None
        images = counts.normal + cell.parameters.contamination.level * counts.defects
        extractions = (counts.all - images) * _extractions_of_maps(cell)
        if cell.banks[0] not in extracted:
            extracted.add(cell.banks[0])
            extractions += counts.all * cell.parameters.views.bank
        total += extractions / assumed.extraction_views_per_second
        total += images * _views_per_image(cell) / assumed.training_views_per_second
    return total


def _views_per_image(cell: GridCell) -> float:
    """Return how many views of a training image pass the detector, a score counted as its share of a step."""
    told, loop = cell.parameters, cell.parameters.refinement
    held_out = _held_out_fraction(cell)
    # For each threshold another is trained alike on the images that are not held out, and scores the others.
    again = 1 - held_out if held_out else 0
    trained = TRAININGS * (1 + again) * told.training.epochs * told.views.train
    judges_itself = told.detector in (loop.judge or (told.detector,))
    scores = TRAININGS * (1 + held_out) + (loop.max_cycles if judges_itself else 0)
    return trained + scores * told.views.score * FORWARD_SHARE


def _held_out_fraction(cell: GridCell) -> float:
    asked = cell.parameters.evaluation
    leaves_one_out = DETECTORS[cell.parameters.detector].leaves_one_out
    return asked.held_out_fraction if asked.threshold_scores == "held_out" and not leaves_one_out else 0.0


def _extractions_of_maps(cell: GridCell) -> float:
    """Return how many extracted views the maps of a test image are worth: each is followed back to the pixels.

    As many as where there are masks; the few of removed images are not known before.
    """
    asked = cell.parameters.evaluation
    return len(STRATEGIES) * asked.map_views / FORWARD_SHARE if asked.maps == "all" else 0.0


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


def count_gpus(device: str) -> int:
    """Return how many CUDA devices there are here for cells whose parameter ``device`` is this one."""
    if device not in {"auto", "cuda"}:
        return 0
    import torch  # noqa: PLC0415 - takes seconds to load

    return torch.cuda.device_count()
