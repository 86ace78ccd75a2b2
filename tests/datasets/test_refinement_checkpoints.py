import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from kedro.io import DatasetError

from irp_kedro.core.records import LOG_COLUMNS
from irp_kedro.core.refinement import RefinementCycle
from irp_kedro.datasets.dvc_snapshot import CycleSnapshot, DVCSnapshotDataset
from irp_kedro.datasets.refinement_checkpoints import RefinementCheckpointsDataset
from irp_kedro.detectors.settings import TrainedDetector
from irp_kedro.lineage.record import Provenance
from irp_kedro.strategies import CycleResult

MODEL = TrainedDetector(detector="gaussian", tensors={"mean": torch.zeros(1)}, config={})


class Run:
    """Saves cycles as a refinement does, in plain mode; ``states`` says which of them carry one."""

    def __init__(self, folder: Path, provenance: Provenance) -> None:
        self.folder, self.provenance = folder, provenance
        self.chain = folder / "lineage" / "cell" / "iterative_refinement"
        places: dict[str, Any] = {
            "filepath": (folder / "snapshots").as_posix(),
            "lineage": {"path": self.chain.as_posix(), "mode": "plain"},
        }
        self.snapshots = DVCSnapshotDataset(**places)
        self.checkpoints = RefinementCheckpointsDataset(**places)

    def save(self, *states: bool, first: int = 0, stop: str = "") -> None:
        for number, has_state in enumerate(states, start=first):
            last = stop if number == first + len(states) - 1 else ""
            record = RefinementCycle(
                cycle=number, kept=(), judged={}, losses=(), epochs=number, stop=last, final_scores={}
            )
            state = {"weights": torch.full((2,), float(number))} if has_state else None
            result = CycleResult(record=record, seconds=0.0, model=MODEL if last else None, state=state)
            snapshot = CycleSnapshot(
                strategy="iterative_refinement",
                result=result,
                removals=pd.DataFrame(columns=list(LOG_COLUMNS)),
                images=[],
                provenance=self.provenance,
            )
            self.snapshots.save(snapshot)


@pytest.fixture
def run(tmp_path: Path, provenance_of: Callable[..., Provenance]) -> Run:
    return Run(tmp_path, provenance_of())


def test_where_nothing_ran_there_is_nothing_to_go_on_from(run: Run) -> None:
    assert run.checkpoints.exists()
    assert run.checkpoints.load() == []


def test_an_interrupted_run_goes_on_from_its_newest_checkpoint(run: Run) -> None:
    run.save(True, False, True, False)
    (found,) = run.checkpoints.load()
    assert [record.cycle for record in found.point.past] == [0, 1, 2]
    assert found.point.state["weights"].tolist() == [2.0, 2.0]
    assert found.provenance == run.provenance


def test_only_the_newest_checkpoint_is_kept(run: Run) -> None:
    run.save(True, True, True, False)
    kept = [path.parent.name for path in run.folder.rglob("checkpoint.safetensors")]
    assert kept == ["cycle_002"]


def test_a_finished_run_keeps_none(run: Run) -> None:
    run.save(True, True, False, stop="patience")
    assert run.checkpoints.load() == []
    assert list(run.folder.rglob("checkpoint.safetensors")) == []


def test_going_on_replaces_the_cycles_after_the_checkpoint(run: Run) -> None:
    run.save(True, False, False, False)
    run.save(False, first=1, stop="patience")
    assert [result.record.cycle for result in run.snapshots.load()] == [0, 1]
    assert sorted(path.name for path in run.chain.glob("cycle_*")) == ["cycle_000", "cycle_001"]


@pytest.mark.parametrize("lost", ["snapshots/cycle_001", "lineage/cell/iterative_refinement/cycle_001"])
def test_a_chain_with_a_gap_is_not_gone_on_with(run: Run, lost: str) -> None:
    run.save(True, True, True)
    shutil.rmtree(run.folder / lost)
    assert run.checkpoints.load() == []


def test_cycles_whose_record_was_never_written_do_not_count(run: Run) -> None:
    run.save(True, False)
    shutil.copytree(run.folder / "snapshots" / "cycle_000", run.folder / "snapshots" / "cycle_002")
    (found,) = run.checkpoints.load()
    assert [record.cycle for record in found.point.past] == [0]


def test_checkpoints_are_no_node_s_output(run: Run) -> None:
    with pytest.raises(DatasetError, match="no node's output"):
        run.checkpoints.save([])  # type: ignore[arg-type]
