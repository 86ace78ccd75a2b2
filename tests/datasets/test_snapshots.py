import shutil
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from kedro.io import DatasetError

from irp_kedro.core.refinement import RefinementCycle
from irp_kedro.core.removal import Decision
from irp_kedro.datasets import snapshots
from irp_kedro.datasets.snapshots import SnapshotsDataset
from irp_kedro.detectors.settings import TrainedDetector
from irp_kedro.strategies import CycleResult

MODEL = TrainedDetector(detector="gaussian", tensors={"mean": torch.tensor([0.5])}, config={"seed": 0})
LEAVING = Decision(
    cycle=1, action="removed", image_id="e", digest="05", score=9.1, median_score=1.0, threshold=2.0
)


def cycle(number: int, stop: str = "") -> CycleResult:
    """Images a to d stay; e leaves in cycle 1."""
    record = RefinementCycle(
        cycle=number,
        kept=("a", "b", "c", "d"),
        decisions=(LEAVING,) if number == 1 else (),
        judged={"a": 1.0, "b": 1 / 3},
        median_score=1.0,
        threshold=2.0,
        above=1,
        losses=(0.3, 0.1),
        epochs=4 + number,
        stop=stop,
        final_scores={"a": 0.1} if stop else {},
    )
    return CycleResult(record=record, seconds=0.25, model=MODEL if stop else None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cell" / "snapshots"


@pytest.fixture
def dataset(folder: Path) -> SnapshotsDataset:
    return SnapshotsDataset(filepath=folder.as_posix())


@pytest.fixture
def finished(dataset: SnapshotsDataset) -> SnapshotsDataset:
    for result in (cycle(0), cycle(1), cycle(2, stop="patience")):
        dataset.save(result)
    return dataset


def cycle_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("cycle_*"))


def test_every_cycle_comes_back_as_it_was(finished: SnapshotsDataset) -> None:
    loaded = finished.load()
    expected = [cycle(0), cycle(1), cycle(2, stop="patience")]
    assert [result.record for result in loaded] == [result.record for result in expected]
    assert [result.seconds for result in loaded] == [0.25] * 3


def test_only_the_last_cycle_carries_the_model(finished: SnapshotsDataset) -> None:
    first, second, last = finished.load()
    assert first.model is None
    assert second.model is None
    assert (last.trained.detector, last.trained.config) == (MODEL.detector, MODEL.config)
    assert torch.equal(last.trained.tensors["mean"], MODEL.tensors["mean"])


def test_scores_that_nobody_gave_stay_undefined(dataset: SnapshotsDataset) -> None:
    vanilla = RefinementCycle(
        cycle=0, kept=("a",), judged={}, losses=(), epochs=1, stop="no cycle asked for", final_scores={}
    )
    dataset.save(CycleResult(record=vanilla, seconds=0.0, model=MODEL))
    (loaded,) = dataset.load()
    assert loaded.record.threshold is None


def test_a_run_without_its_last_cycle_is_not_finished(dataset: SnapshotsDataset) -> None:
    assert not dataset.exists()
    message = r"No finished refinement at '.*'\. Run: kedro run --pipelines refinement"
    with pytest.raises(DatasetError, match=message):
        dataset.load()
    for number in (0, 1):
        dataset.save(cycle(number))
        assert not dataset.exists()
        with pytest.raises(DatasetError, match=message):
            dataset.load()


def test_a_run_with_a_stop_reason_is_finished(finished: SnapshotsDataset) -> None:
    assert finished.exists()
    assert "snapshots" in str(finished)


def test_a_new_run_clears_the_cycles_of_the_old(finished: SnapshotsDataset, folder: Path) -> None:
    finished.save(cycle(0))
    assert not finished.exists()
    assert cycle_names(folder) == ["cycle_000"]
    finished.save(cycle(1, stop="max_cycles"))
    assert len(finished.load()) == 2
    assert sorted(path.name for path in folder.parent.iterdir()) == ["snapshots"]


@pytest.mark.parametrize("writer", ["write_json", "write_model"])
def test_a_cycle_cut_short_is_not_there_at_all(
    writer: str, dataset: SnapshotsDataset, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_half(path: Path, *_: Any) -> NoReturn:
        path.write_bytes(b"{")
        raise KeyboardInterrupt

    dataset.save(cycle(0))
    monkeypatch.setattr(snapshots, writer, write_half)
    with pytest.raises(KeyboardInterrupt):
        dataset.save(cycle(1, stop="patience"))
    assert cycle_names(folder) == ["cycle_000"]
    assert not dataset.exists()


def test_what_a_killed_process_was_writing_is_not_read(
    finished: SnapshotsDataset, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)  # a killed process cleans nothing up
        patch.setattr(snapshots, "write_json", lambda path, _: path.unlink())
        with pytest.raises(FileNotFoundError):
            finished.save(cycle(3))
    assert len(list(folder.iterdir())) == 4
    assert len(finished.load()) == 3
    finished.save(cycle(0))
    assert [path.name for path in folder.iterdir()] == ["cycle_000"]


def test_a_kill_while_the_old_cycles_are_cleared_leaves_no_finished_run(
    finished: SnapshotsDataset, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = shutil.rmtree

    def remove_only_the_first(path: Path, **options: Any) -> None:
        if (path / "cycle_000").exists():
            real(path / "cycle_000", **options)
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", remove_only_the_first)
        with pytest.raises(KeyboardInterrupt):
            finished.save(cycle(0))
    assert not finished.exists()
    assert cycle_names(folder) == []


def test_cycles_beyond_the_thousandth_stay_in_order(dataset: SnapshotsDataset) -> None:
    for result in (cycle(0), cycle(999), cycle(1000), cycle(1001, stop="max_cycles")):
        dataset.save(result)
    assert dataset.exists()
    assert [result.record.cycle for result in dataset.load()] == [0, 999, 1000, 1001]
