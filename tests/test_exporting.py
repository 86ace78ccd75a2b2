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
from PIL import Image

from irp_kedro.datasets.saved_scorer import open_scorer
from irp_kedro.errors import ModelError
from irp_kedro.exporting import ScoreGraph, write_onnx
from irp_kedro.features.alignment import Alignment
from irp_kedro.features.bank import ExtractionRecipe
from irp_kedro.features.preparation import Preparation
from irp_kedro.features.views import rotate
from irp_kedro.inspection import load_backbone
from irp_kedro.parameters import ViewParameters
from irp_kedro.scoring import SavedScorer, in_float32

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

CPU = torch.device("cpu")
LEVEL = Alignment(side=1.1, heading="AAAA")
TOLERANCE = 1e-4
NAMES = ("differnet", "gaussian", "patch_memory", "fine_patch_memory")
# Writing one takes seconds. Gaussian has another quick test, and fine patches are patches.
LATER = [pytest.param(name, marks=pytest.mark.slow) for name in ("gaussian", "fine_patch_memory")]


@pytest.fixture(scope="module")
def new_images(draw_surface: Callable[[np.random.Generator], np.ndarray]) -> np.ndarray:
    """Ten surfaces, (10, 64, 64, 3); every other one with a spot."""
    rng = np.random.default_rng(1)
    pixels = np.stack([draw_surface(rng) for _ in range(10)])
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


@pytest.mark.parametrize("name", ["differnet", "patch_memory", *LATER])
def test_onnx_scores_are_those_of_the_saved_model(
    name: str, surfaces: Any, exported: Callable[[str], Path], new_images: np.ndarray
) -> None:
    scorer = open_scorer(exported(name), "cpu", 8)
    found = scorer.score(list(new_images))
    expected = SavedScorer(surfaces.trained(name), "cpu").score(list(new_images))
    np.testing.assert_allclose(found, expected, rtol=TOLERANCE)
    one_by_one = [scorer.score([image])[0] for image in new_images[:2]]
    np.testing.assert_allclose(one_by_one, expected[:2], rtol=TOLERANCE)


def test_onnx_scores_of_oblongs_are_those_of_the_saved_model(
    oblongs: Any, tmp_path: Path, new_images: np.ndarray
) -> None:
    model = oblongs.trained("patch_memory")
    write_onnx(model, tmp_path / "model.onnx")
    scorer = open_scorer(tmp_path / "model.onnx", "cpu", 8)
    height, width = scorer.preparation.shape
    assert (height, width) == (192, 96)
    pixels = [np.asarray(Image.fromarray(image).resize((width, height))) for image in new_images]
    np.testing.assert_allclose(scorer.score(pixels), SavedScorer(model, "cpu").score(pixels), rtol=TOLERANCE)


@pytest.mark.parametrize("name", NAMES)
def test_the_graph_gives_the_scores_of_the_saved_model(
    name: str, surfaces: Any, new_images: np.ndarray
) -> None:
    model = surfaces.trained(name)
    with torch.inference_mode():
        found = ScoreGraph(model)(torch.from_numpy(new_images)).numpy()
    np.testing.assert_allclose(found, SavedScorer(model, "cpu").score(list(new_images)), rtol=TOLERANCE)


@pytest.mark.parametrize("name", ["differnet", "patch_memory"])
def test_a_model_trained_in_bfloat16_scores_in_float32_as_its_graph_does(
    name: str, surfaces: Any, new_images: np.ndarray
) -> None:
    model = surfaces.stating(surfaces.trained(name), features="bfloat16", training="bfloat16")
    with torch.inference_mode():
        found = ScoreGraph(model)(torch.from_numpy(new_images)).numpy()
    plain, as_trained = SavedScorer(in_float32(model), "cpu"), SavedScorer(model, "cpu")
    np.testing.assert_allclose(found, plain.score(list(new_images)), rtol=TOLERANCE)
    assert np.abs(found / as_trained.score(list(new_images)) - 1).max() > 5e-3


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


def test_the_file_of_a_model_of_parts_laid_level_lays_new_ones_level(surfaces: Any, tmp_path: Path) -> None:
    write_onnx(surfaces.aligned(surfaces.trained("gaussian"), LEVEL), tmp_path / "model.onnx")
    found = open_scorer(tmp_path / "model.onnx", "cpu", 8).preparation
    assert found == Preparation(crop="none", size=64, aligned=LEVEL)


def test_the_threshold_of_a_model_trained_in_bfloat16_is_fitted_and_the_file_says_by_how_much(
    surfaces: Any, new_images: np.ndarray, tmp_path: Path
) -> None:
    model = surfaces.stating(surfaces.trained("gaussian"), features="bfloat16", training="auto")
    facts = write_onnx(model, tmp_path / "model.onnx", list(new_images))
    before, after = (
        SavedScorer(each, "cpu").score(list(new_images)) for each in (model, surfaces.trained("gaussian"))
    )
    shift = (after - before).mean()
    assert facts["fit"]["n_images"] == 10
    np.testing.assert_allclose(facts["fit"]["shift"], shift, rtol=1e-6)
    assert facts["trained_in"] == "bfloat16"
    scorer = open_scorer(tmp_path / "model.onnx", "cpu", 8)
    np.testing.assert_allclose(scorer.threshold, model.config["threshold"] + shift, rtol=1e-6)
    assert scorer.threshold_fits
    np.testing.assert_allclose(scorer.score(list(new_images)), after, rtol=TOLERANCE)


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
