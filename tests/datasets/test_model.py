from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from kedro.io import DatasetError

from irp_kedro.datasets import model as model_file
from irp_kedro.datasets.model import ModelDataset, read_model, write_model
from irp_kedro.detectors.settings import TrainedDetector

TRAINED = TrainedDetector(
    detector="differnet",
    tensors={
        "weight": torch.tensor([[0.1, -2.0], [3.0, 4.0]]),
        "precise": torch.tensor([1 / 3], dtype=torch.float64),
        "permutation": torch.tensor([1, 0]),
    },
    config={"settings": {"flow": {"blocks": 2}}, "name": "detector", "threshold": 1.25},
)


@pytest.fixture
def dataset(tmp_path: Path) -> ModelDataset:
    return ModelDataset(filepath=(tmp_path / "cell" / "model.safetensors").as_posix())


def test_a_saved_model_comes_back_bit_for_bit(dataset: ModelDataset) -> None:
    dataset.save(TRAINED)
    loaded = dataset.load()
    assert (loaded.detector, loaded.config) == (TRAINED.detector, TRAINED.config)
    assert loaded.tensors.keys() == TRAINED.tensors.keys()
    for name, tensor in TRAINED.tensors.items():
        assert loaded.tensors[name].dtype == tensor.dtype
        assert torch.equal(loaded.tensors[name], tensor)


def test_tensors_lie_in_memory_as_those_that_torch_makes(dataset: ModelDataset) -> None:
    # Matrix kernels choose their way, and with it their rounding, by the alignment of what they are given.
    dataset.save(TRAINED)
    assert [tensor.data_ptr() % 64 for tensor in dataset.load().tensors.values()] == [0, 0, 0]


def test_a_transposed_tensor_keeps_its_values(tmp_path: Path) -> None:
    turned = torch.arange(6.0).reshape(2, 3).T
    write_model(tmp_path / "model.safetensors", replace(TRAINED, tensors={"turned": turned}))
    assert torch.equal(read_model(tmp_path / "model.safetensors").tensors["turned"], turned)


def test_a_missing_model_names_the_pipeline_that_makes_it(dataset: ModelDataset) -> None:
    assert not dataset.exists()
    with pytest.raises(DatasetError, match=r"No model at '.*'\. Run: kedro run --pipelines refinement"):
        dataset.load()


def test_a_saved_model_exists(dataset: ModelDataset) -> None:
    dataset.save(TRAINED)
    assert dataset.exists()
    assert "model.safetensors" in str(dataset)


def test_a_model_cut_short_leaves_the_one_before(
    dataset: ModelDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_half(_: Any, aside: Path, **__: Any) -> NoReturn:
        aside.write_bytes(b"half")
        raise KeyboardInterrupt

    dataset.save(TRAINED)
    monkeypatch.setattr(model_file, "save_file", write_half)
    with pytest.raises(KeyboardInterrupt):
        dataset.save(replace(TRAINED, detector="gaussian"))
    assert dataset.load().detector == "differnet"
    assert [path.name for path in (tmp_path / "cell").iterdir()] == ["model.safetensors"]


def test_a_file_that_could_run_code_is_refused(dataset: ModelDataset, tmp_path: Path) -> None:
    (tmp_path / "cell").mkdir()
    torch.save({"weight": torch.zeros(2)}, tmp_path / "cell" / "model.safetensors")
    with pytest.raises(DatasetError):
        dataset.load()
