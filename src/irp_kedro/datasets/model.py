"""``model``: a trained detector as safetensors, with its configuration in the file's own header."""

import json
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError
from safetensors import safe_open
from safetensors.torch import save_file

from irp_kedro.detectors.settings import TrainedDetector
from irp_kedro.writing import file_aside


def write_model(path: Path, model: TrainedDetector) -> None:
    """Write a detector; safetensors hold numbers only, so reading one never runs code."""
    header = {"detector": model.detector, "config": json.dumps(dict(model.config), sort_keys=True)}
    with file_aside(path) as aside:
        save_file({key: value.contiguous() for key, value in model.tensors.items()}, aside, metadata=header)


def read_model(path: Path) -> TrainedDetector:
    """Read a detector that :func:`write_model` wrote."""
    with safe_open(path, framework="pt") as file:
        header = file.metadata()
        # Copied: tensors in the mapped file are aligned otherwise, and matrix kernels round differently there.
        tensors = {key: file.get_tensor(key).clone() for key in file.keys()}  # noqa: SIM118 - not a mapping
    return TrainedDetector(detector=header["detector"], tensors=tensors, config=json.loads(header["config"]))


class ModelDataset(AbstractDataset[TrainedDetector, TrainedDetector]):
    """A trained detector in one safetensors file.

    Args:
        filepath: the file.
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> TrainedDetector:
        """Return the detector."""
        if not self._filepath.is_file():
            raise DatasetError(f"No model at '{self._filepath}'. Run: kedro run --pipelines refinement")
        return read_model(self._filepath)

    def save(self, data: TrainedDetector) -> None:
        """Write the detector."""
        write_model(self._filepath, data)

    def _exists(self) -> bool:
        return self._filepath.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath.as_posix()}
