"""The exported graph, read by onnxruntime, gives the scores that torch gives, on images it has never seen."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from irp_kedro.datasets.saved_scorer import open_scorer
from irp_kedro.errors import ModelError
from irp_kedro.exporting import ScoreGraph, write_onnx
from irp_kedro.features.bank import ExtractionRecipe
from irp_kedro.features.preparation import Preparation
from irp_kedro.features.views import rotate
from irp_kedro.inspection import load_backbone
from irp_kedro.parameters import ViewParameters
from irp_kedro.scoring import SavedScorer

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

CPU = torch.device("cpu")
# Writing one takes seconds.
LATER = [
    pytest.param(name, marks=pytest.mark.slow) for name in ("gaussian", "patch_memory", "fine_patch_memory")
]


@pytest.fixture(scope="module")
def new_images() -> np.ndarray:
    """Ten surfaces, (10, 64, 64, 3); every other one with a spot."""
    pixels = np.random.default_rng(1).normal(150, 6, (10, 64, 64, 3)).clip(0, 255).astype(np.uint8)
    pixels[::2, 10:20, 30:44] = 200
    return pixels


@pytest.fixture(scope="module")
def exported(surfaces: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Writes the graph of a trained detector, once each."""

    @cache
    def write(name: str) -> Path:
        path: Path = tmp_path_factory.mktemp("onnx") / "model.onnx"
        write_onnx(surfaces.trained(name), path)
        return path

    return write


@pytest.mark.parametrize("name", ["differnet", *LATER])
def test_onnx_scores_agree_with_torch_s(
    name: str, surfaces: Any, exported: Callable[[str], Path], new_images: np.ndarray
) -> None:
    scorer = open_scorer(exported(name), "cpu", 8)
    found = scorer.score(list(new_images))
    graph = ScoreGraph(surfaces.trained(name))
    with torch.inference_mode():
        expected = graph(torch.from_numpy(new_images)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    one_by_one = [scorer.score([image])[0] for image in new_images[:2]]
    np.testing.assert_allclose(one_by_one, expected[:2], rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "tolerance"),
    # Features in half precision, and a memory compared in bfloat16 where that is fast, round otherwise.
    [("differnet", 0.01), ("gaussian", 0.01), ("patch_memory", 0.05), ("fine_patch_memory", 0.05)],
)
def test_the_graph_gives_the_scores_of_the_saved_model(
    name: str, tolerance: float, surfaces: Any, new_images: np.ndarray
) -> None:
    model = surfaces.trained(name)
    graph = ScoreGraph(model)
    with torch.inference_mode():
        found = graph(torch.from_numpy(new_images)).numpy()
    saved = SavedScorer(model, "cpu").score(list(new_images))
    np.testing.assert_allclose(found, saved, rtol=tolerance, atol=tolerance * np.abs(saved).mean())


def test_only_the_views_that_a_score_averages_are_in_the_graph(surfaces: Any) -> None:
    model = surfaces.trained("differnet", views=ViewParameters(bank=4, train=2, score=2))
    assert ScoreGraph(model).features.grids.shape[0] == 2


def test_several_scales_give_the_features_of_the_backbone(surfaces: Any, new_images: np.ndarray) -> None:
    recipe = surfaces.bank.read_recipe()
    recipe = ExtractionRecipe.from_dict({**recipe.as_dict(), "scales": [1.0, 0.5]})
    backbone = load_backbone(recipe, CPU)
    views = type(ScoreGraph(surfaces.trained("gaussian")).features)(backbone, recipe, [0, 1, 2, 3])
    pixels = torch.from_numpy(new_images[:2]).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        expected = backbone(rotate(pixels, list(recipe.angles))).view(2, 4, -1)
        torch.testing.assert_close(views(pixels), expected, rtol=1e-4, atol=1e-4)


def test_the_file_says_what_a_user_must_know(surfaces: Any, exported: Callable[[str], Path]) -> None:
    path, model = exported("differnet"), surfaces.trained("differnet")
    entries = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    facts = json.loads(entries["irp_kedro"])
    assert (facts["threshold"], facts["trained_in"]) == (model.config["threshold"], "float32")
    scorer = open_scorer(path, "cpu", 8)
    assert (scorer.threshold, scorer.preparation) == (facts["threshold"], Preparation(crop="none", size=64))
    assert [file.name for file in path.parent.iterdir()] == ["model.onnx"]


def test_an_exported_model_makes_no_maps(exported: Callable[[str], Path]) -> None:
    with pytest.raises(ModelError, match=r"name the model\.safetensors"):
        open_scorer(exported("differnet"), "cpu", 8).maps([], n_views=1)


def test_a_detector_that_is_no_graph_is_refused(surfaces: Any, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"'isolation_forest' cannot be written as ONNX"):
        write_onnx(surfaces.trained("isolation_forest"), tmp_path / "model.onnx")


def test_a_model_without_a_recipe_is_refused(surfaces: Any, tmp_path: Path) -> None:
    model = surfaces.trained("gaussian")
    bare = replace(model, config={"settings": model.config["settings"], "threshold": 1.0})
    with pytest.raises(ModelError, match="its recipe"):
        write_onnx(bare, tmp_path / "model.onnx")
