from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from irp_kedro.errors import LineageError
from irp_kedro.lineage.weights import BLOCK, weights_digest

MEAN = {"mean": torch.tensor([[0.5, 1.5], [2.5, 3.5]]), "scale": torch.tensor([1.0])}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_file(MEAN, path, metadata={"config": '{"threshold": null}'})
    return path


def test_other_metadata_leave_the_identity_of_a_detector_alone(model: Path, tmp_path: Path) -> None:
    for name, metadata in (("other", {"config": '{"threshold": 3.5}', "more": "x" * 99}), ("none", None)):
        save_file(MEAN, tmp_path / name, metadata=metadata)
        assert weights_digest(tmp_path / name) == weights_digest(model)


@pytest.mark.parametrize(
    "tensors",
    [
        {**MEAN, "mean": torch.tensor([[0.5, 1.5], [2.5, 3.500001]])},
        {**MEAN, "mean": torch.tensor([0.5, 1.5, 2.5, 3.5])},
        {**MEAN, "mean": MEAN["mean"].view(torch.int32)},
        {"median": MEAN["mean"], "scale": MEAN["scale"]},
        {"mean": MEAN["mean"]},
        {**MEAN, "more": torch.tensor([])},
    ],
    ids=["values", "shape", "type", "name", "one less", "an empty one more"],
)
def test_other_weights_have_another_identity(
    model: Path, tmp_path: Path, tensors: dict[str, torch.Tensor]
) -> None:
    save_file(tensors, tmp_path / "other")
    assert weights_digest(tmp_path / "other") != weights_digest(model)


def test_the_last_value_of_a_large_model_counts(tmp_path: Path) -> None:
    weights = torch.zeros(BLOCK)  # four blocks
    digests = []
    for value in (0.0, 1.0):
        weights[-1] = value
        save_file({"weights": weights}, tmp_path / "model")
        digests.append(weights_digest(tmp_path / "model"))
    assert digests[0] != digests[1]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04 a checkpoint of another kind",
        b"\x02" + bytes(7) + b"[]",
        b"\x02" + bytes(7) + b"\xff\xff",
    ],
    ids=["empty", "another kind", "no names", "no text"],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(LineageError, match=r"model\.safetensors' is no safetensors file: "):
        weights_digest(path)


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LineageError, match=r"No model at '.*/model\.safetensors'\."):
        weights_digest(tmp_path / "model.safetensors")
    with pytest.raises(LineageError, match="is no safetensors file"):
        weights_digest(tmp_path)
