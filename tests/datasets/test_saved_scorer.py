from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from irp_kedro.datasets.model import write_model
from irp_kedro.datasets.saved_scorer import open_scorer, read_saved
from irp_kedro.errors import ModelError


def test_a_saved_model_is_opened_with_its_threshold(surfaces: Any, tmp_path: Path) -> None:
    model = surfaces.trained("gaussian")
    write_model(tmp_path / "model.safetensors", model)
    assert open_scorer(tmp_path / "model.safetensors", "cpu", 8).threshold == model.config["threshold"]


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="There is no model at"):
        read_saved(tmp_path / "model.safetensors")


def test_what_is_no_model_of_this_project_is_refused(tmp_path: Path) -> None:
    text, foreign = tmp_path / "text.safetensors", tmp_path / "foreign.safetensors"
    text.write_text("no tensors")
    save_file({"weight": torch.zeros(1)}, foreign)
    for path in (text, foreign):
        with pytest.raises(ModelError, match="is no model of irp-kedro"):
            read_saved(path)
