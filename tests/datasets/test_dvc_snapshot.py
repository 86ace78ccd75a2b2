import json
import shutil
from pathlib import Path
from typing import Any, NoReturn

import pandas as pd
import pytest
import torch
from filelock import FileLock
from kedro.io import DatasetError

from irp_kedro.core.records import LOG_COLUMNS, removal_log
from irp_kedro.core.refinement import RefinementCycle
from irp_kedro.core.removal import Decision
from irp_kedro.datasets import dvc_snapshot
from irp_kedro.datasets.dvc_snapshot import CycleSnapshot, DVCSnapshotDataset
from irp_kedro.detectors.settings import TrainedDetector
from irp_kedro.errors import LineageError
from irp_kedro.lineage.contents import StoredImage, list_source_images
from irp_kedro.lineage.finding import find_by_model, find_snapshots
from irp_kedro.lineage.rebuilding import read_removals
from irp_kedro.lineage.store import StoreSettings, open_store
from irp_kedro.lineage.weights import weights_digest
from irp_kedro.strategies import CycleResult

MODEL = TrainedDetector(detector="gaussian", tensors={"mean": torch.tensor([0.5])}, config={"seed": 0})
LEAVING = Decision(
    cycle=1, action="removed", image_id="e", digest="05", score=9.1, median_score=1.0, threshold=2.0
)
RULE = {"policy": "all_above", "scoring": "held_out", "detector": "differnet", "judge": "gaussian"}


@pytest.fixture
def training(tmp_path: Path) -> pd.DataFrame:
    """Images a to e, of one byte each."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name in "abcde":
        (folder / f"{name}.png").write_text(name)
    digests = [
        "0cc175b9c0f1b6a831c399e269772661",
        "92eb5ffee6ae2fec3ad71c777531578f",
        "4a8a08f09d37b73795649038408b5f33",
        "8277e0910d750195b448797616e091ad",
        "e1671797c52e15f763380b45e841ec32",
    ]
    paths = [(folder / f"{name}.png").as_posix() for name in "abcde"]
    return pd.DataFrame({"image_id": list("abcde"), "path": paths, "digest": digests})


@pytest.fixture
def images(training: pd.DataFrame) -> list[StoredImage]:
    return list_source_images(training)


@pytest.fixture
def snapshot_of(training: pd.DataFrame, images: list[StoredImage], provenance_of: Any) -> Any:
    """Wraps a cycle as the refinement node does."""

    def wrap(result: CycleResult) -> CycleSnapshot:
        return CycleSnapshot(
            strategy="iterative_refinement",
            result=result,
            removals=removal_log([result.record], training, **RULE),
            images=images,
            provenance=provenance_of(),
        )

    return wrap


def cycle(number: int, stop: str = "") -> CycleResult:
    """Images a to d stay; e leaves in cycle 1."""
    record = RefinementCycle(
        cycle=number,
        kept=("a", "b", "c", "d", "e")[: 5 if number == 0 else 4],
        decisions=(LEAVING,) if number == 1 else (),
        judged={"a": 1.0, "b": 1 / 3},
        median_score=1.0,
        threshold=2.0,
        above=1,
        doubtful=("b",) if number else (),
        doubtful_share=0.1 if number else 0.0,
        variants=("c", "d") if number else (),
        losses=(0.3, 0.1),
        epochs=4 + number,
        stop=stop,
        final_scores={"a": 0.1} if stop else {},
    )
    return CycleResult(record=record, seconds=0.25, model=MODEL if stop else None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data" / "cell" / "snapshots"


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    """Folder of the strategy below lineage.root, in a DVC repository without git."""
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    return tmp_path / "lineage" / "cell" / "iterative_refinement"


class Saving:
    """The dataset, saving cycles as the node hands them over."""

    def __init__(self, dataset: DVCSnapshotDataset, wrap: Any) -> None:
        self.dataset = dataset
        self._wrap = wrap

    def save(self, result: CycleResult) -> None:
        self.dataset.save(self._wrap(result))

    def load(self) -> list[CycleResult]:
        return self.dataset.load()

    def exists(self) -> bool:
        return self.dataset.exists()


@pytest.fixture
def dataset(folder: Path, chain: Path, snapshot_of: Any) -> Saving:
    made = DVCSnapshotDataset(filepath=folder.as_posix(), lineage={"path": chain.as_posix()})
    return Saving(made, snapshot_of)


@pytest.fixture
def finished(dataset: Saving) -> Saving:
    for result in (cycle(0), cycle(1), cycle(2, stop="patience")):
        dataset.save(result)
    return dataset


def cycle_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("cycle_*"))


def test_every_cycle_comes_back_as_it_was(finished: Saving) -> None:
    loaded = finished.load()
    expected = [cycle(0), cycle(1), cycle(2, stop="patience")]
    assert [result.record for result in loaded] == [result.record for result in expected]
    assert [result.seconds for result in loaded] == [0.25] * 3


def test_a_cycle_of_a_version_without_doubt_and_variants_knows_none(finished: Saving, folder: Path) -> None:
    file = next(folder.rglob("cycle_001/cycle.json"))
    content = json.loads(file.read_text())
    for name in ("doubtful", "doubtful_share", "variants"):
        del content["record"][name]
    file.write_text(json.dumps(content))
    record = finished.load()[1].record
    assert (record.doubtful, record.doubtful_share, record.variants) == ((), 0.0, ())


def test_only_the_last_cycle_carries_the_model(finished: Saving) -> None:
    first, second, last = finished.load()
    assert first.model is None
    assert second.model is None
    assert (last.trained.detector, last.trained.config) == (MODEL.detector, MODEL.config)
    assert torch.equal(last.trained.tensors["mean"], MODEL.tensors["mean"])


def test_scores_that_nobody_gave_stay_undefined(dataset: Saving) -> None:
    vanilla = RefinementCycle(
        cycle=0,
        kept=("a", "b", "c", "d", "e"),
        judged={},
        losses=(),
        epochs=1,
        stop="no cycle asked for",
        final_scores={},
    )
    dataset.save(CycleResult(record=vanilla, seconds=0.0, model=MODEL))
    (loaded,) = dataset.load()
    assert loaded.record.threshold is None


def test_a_run_without_its_last_cycle_is_not_finished(dataset: Saving) -> None:
    assert not dataset.exists()
    message = r"No finished refinement at '.*'\. Run: kedro run --pipelines refinement"
    with pytest.raises(DatasetError, match=message):
        dataset.load()
    for number in (0, 1):
        dataset.save(cycle(number))
        assert not dataset.exists()
        with pytest.raises(DatasetError, match=message):
            dataset.load()


def test_a_run_with_a_stop_reason_is_finished(finished: Saving) -> None:
    assert finished.exists()
    assert "snapshots" in str(finished.dataset)


def test_a_new_run_clears_the_cycles_of_the_old(finished: Saving, folder: Path) -> None:
    finished.save(cycle(0))
    assert not finished.exists()
    assert cycle_names(folder) == ["cycle_000"]
    finished.save(cycle(1, stop="max_cycles"))
    assert len(finished.load()) == 2
    assert sorted(path.name for path in folder.parent.iterdir()) == ["snapshots"]


@pytest.mark.parametrize("writer", ["write_json", "write_model"])
def test_a_cycle_cut_short_is_not_there_at_all(
    writer: str, dataset: Saving, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_half(path: Path, *_: Any) -> NoReturn:
        path.write_bytes(b"{")
        raise KeyboardInterrupt

    dataset.save(cycle(0))
    monkeypatch.setattr(dvc_snapshot, writer, write_half)
    with pytest.raises(KeyboardInterrupt):
        dataset.save(cycle(1, stop="patience"))
    assert cycle_names(folder) == ["cycle_000"]
    assert not dataset.exists()


def test_what_a_killed_process_was_writing_is_not_read(
    finished: Saving, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)  # a killed process cleans nothing up
        patch.setattr(dvc_snapshot, "write_json", lambda path, _: path.unlink())
        with pytest.raises(FileNotFoundError):
            finished.save(cycle(3))
    assert len(list(folder.iterdir())) == 4
    assert len(finished.load()) == 3
    finished.save(cycle(0))
    assert [path.name for path in folder.iterdir()] == ["cycle_000"]


def test_a_kill_while_the_old_cycles_are_cleared_leaves_no_finished_run(
    finished: Saving, folder: Path, monkeypatch: pytest.MonkeyPatch
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


def test_a_cycle_is_there_only_when_its_record_is(finished: Saving, folder: Path) -> None:
    (folder / "cycle_002" / "lineage.json").unlink()
    assert not finished.exists()
    with pytest.raises(DatasetError, match="No finished refinement"):
        finished.load()


def test_a_run_that_is_refused_leaves_what_the_run_before_it_made(
    finished: Saving, chain: Path, images: list[StoredImage]
) -> None:
    refused = pytest.raises((LineageError, DatasetError), match="Another run is writing the snapshots")
    with FileLock(chain / ".lock"), refused:
        finished.save(cycle(0))
    assert [result.record for result in finished.load()][-1].is_last
    shutil.rmtree(chain.parents[2] / ".dvc" / "cache")
    Path(images[0].path).write_text("changed")
    with pytest.raises((LineageError, DatasetError), match="1 images are gone or have changed"):
        finished.save(cycle(0))
    assert finished.exists()
    assert len(finished.load()) == 3


def test_a_run_whose_lineage_is_gone_or_another_s_is_not_finished_but_can_be_read(
    finished: Saving, chain: Path
) -> None:
    record = chain / "cycle_002" / "lineage.json"
    record.write_text(record.read_text().replace('"time"', ' "time"'))
    assert not finished.exists()
    record.unlink()
    assert not finished.exists()
    assert len(finished.load()) == 3


def test_what_left_in_each_cycle_is_kept_with_it(
    finished: Saving, chain: Path, images: list[StoredImage]
) -> None:
    store = open_store(chain.parents[1], StoreSettings())
    logs = [read_removals(chain / f"cycle_{number:03d}", store) for number in range(3)]
    assert [list(log["image_id"]) for log in logs] == [[], ["e"], []]
    assert [tuple(log.columns) for log in logs] == [LOG_COLUMNS] * 3
    assert logs[1].loc[0, "path"] == images[4].path


def test_the_model_of_the_last_cycle_names_its_snapshot(finished: Saving, chain: Path, folder: Path) -> None:
    snapshots = find_snapshots(chain.parents[1])
    digest = weights_digest(folder / "cycle_002" / "model.safetensors")
    assert [snapshot.name for snapshot in find_by_model(snapshots, digest)] == [
        "cell/iterative_refinement/cycle_002"
    ]
    assert [snapshot.record.model for snapshot in snapshots] == ["", "", digest]


@pytest.mark.parametrize("mode", ["dvc", "plain"])
def test_the_catalog_s_settings_reach_the_record(
    mode: str, folder: Path, chain: Path, snapshot_of: Any
) -> None:
    settings = {"path": chain.as_posix(), "mode": mode, "tree_every": 2}
    dataset = DVCSnapshotDataset(filepath=folder.as_posix(), lineage=settings)
    for result in (cycle(0), cycle(1), cycle(2), cycle(3, stop="patience")):
        dataset.save(snapshot_of(result))
    records = [snapshot.record for snapshot in find_snapshots(chain.parents[1])]
    assert [record.mode for record in records] == [mode] * 4
    assert [record.has_tree for record in records] == [True, False, True, True]
    assert [record.images for record in records] == [5, 4, 4, 4]


def test_nothing_is_written_where_there_is_no_dvc_repository(
    tmp_path: Path, folder: Path, snapshot_of: Any
) -> None:
    outside = {"path": (tmp_path / "root" / "cell" / "strategy").as_posix()}
    lost = DVCSnapshotDataset(filepath=folder.as_posix(), lineage=outside)
    with pytest.raises((LineageError, DatasetError), match=r"lineage\.mode=plain"):
        lost.save(snapshot_of(cycle(0)))
    assert not folder.exists()


def test_cycles_beyond_the_thousandth_stay_in_order(dataset: Saving, chain: Path) -> None:
    dataset.save(cycle(0))
    shutil.copytree(chain / "cycle_000", chain / "cycle_998")  # as if all cycles in between were there
    for result in (cycle(999), cycle(1000), cycle(1001, stop="max_cycles")):
        dataset.save(result)
    assert dataset.exists()
    assert [result.record.cycle for result in dataset.load()] == [0, 999, 1000, 1001]
