"""A saved model on new images gives the scores that the bank gave, from nothing but its own file."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from irp_kedro.datasets.model import read_model, write_model
from irp_kedro.detectors.settings import TrainedDetector
from irp_kedro.errors import ModelError, ParameterError
from irp_kedro.features import extraction
from irp_kedro.features.alignment import Alignment
from irp_kedro.features.preparation import Preparation
from irp_kedro.scoring import SavedScorer, in_float32, recipe_of, scores_in_float32
from irp_kedro.strategies import score_images

ON_PATCHES = ["patch_memory", "fine_patch_memory", "colour_memory", "soft_patch"]
LEVEL = Alignment(side=1.1, heading="AAAA")
KINDS = ["differnet", "gaussian", *ON_PATCHES, "isolation_forest"]


def reloaded(model: TrainedDetector, folder: Path) -> TrainedDetector:
    write_model(folder / "model.safetensors", model)
    return read_model(folder / "model.safetensors")


@pytest.mark.parametrize("name", KINDS)
def test_scores_are_those_of_the_feature_bank(name: str, surfaces: Any, tmp_path: Path) -> None:
    model = reloaded(surfaces.trained(name), tmp_path)
    scorer = SavedScorer(model, "cpu", batch_views=8)
    pixels = [surfaces.images.read(digest) for digest in surfaces.digests]
    found = np.concatenate([scorer.score(pixels[start : start + 2]) for start in range(0, 20, 2)])
    banked = score_images(model, surfaces.bank, surfaces.digests, "cpu", patches=surfaces.patches)
    # Features are equal; matrix kernels may round otherwise for few rows than for many.
    np.testing.assert_allclose(found, banked, rtol=1e-4, atol=1e-6)
    assert found.argmax() == 19


def test_one_image_has_the_score_that_it_has_among_others(surfaces: Any) -> None:
    scorer = SavedScorer(surfaces.trained("differnet"), "cpu", batch_views=8)
    pixels = [surfaces.images.read(digest) for digest in surfaces.digests[:4]]
    np.testing.assert_allclose(scorer.score(pixels), [scorer.score([image])[0] for image in pixels], rtol=1e-5)


def test_the_model_knows_preparation_and_threshold(surfaces: Any) -> None:
    model = surfaces.trained("gaussian")
    scorer = SavedScorer(model, "cpu")
    assert scorer.preparation == Preparation(crop="none", size=64)
    assert scorer.threshold == model.config["threshold"]
    assert scorer.together == 2  # 8 views at a time, 4 an image


@pytest.mark.parametrize("name", ["gaussian", "patch_memory"])
def test_no_image_is_looked_at_twice_to_fill_a_batch(
    name: str, surfaces: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = SavedScorer(surfaces.trained(name), "cpu", batch_views=8)
    passed, made = [], extraction._pass

    def noted(backbone: Any, images: Any, *rest: Any) -> Any:
        passed.append(len(images))
        return made(backbone, images, *rest)

    monkeypatch.setattr(extraction, "_pass", noted)
    scorer.score([surfaces.images.read(digest) for digest in surfaces.digests[: scorer.together]])
    assert passed == [scorer.together]


def test_oblongs_are_scored_and_mapped_in_their_shape(oblongs: Any) -> None:
    model = oblongs.trained("patch_memory")
    scorer = SavedScorer(model, "cpu")
    pixels = [scorer.preparation.read(oblongs.images.paths[digest]) for digest in oblongs.digests]
    banked = score_images(model, oblongs.bank, oblongs.digests, "cpu", patches=oblongs.patches)
    np.testing.assert_allclose(scorer.score(pixels), banked, rtol=1e-4, atol=1e-6)
    assert scorer.maps(pixels[-1:], n_views=4).shape == (1, 6, 3)


def test_a_model_of_parts_laid_level_lays_new_ones_level(surfaces: Any) -> None:
    model = surfaces.aligned(surfaces.trained("gaussian"), LEVEL)
    assert SavedScorer(model, "cpu").preparation == Preparation(crop="none", size=64, aligned=LEVEL)


@pytest.mark.parametrize("name", ["differnet", "gaussian", "patch_memory"])
def test_the_map_of_an_odd_image_is_hot_and_that_of_a_normal_one_is_not(name: str, surfaces: Any) -> None:
    scorer = SavedScorer(surfaces.trained(name), "cpu")
    pixels = [surfaces.images.read(surfaces.digests[row]) for row in (0, 19)]
    normal, odd = scorer.maps(pixels, n_views=2)
    low, high = scorer.map_range()
    assert low < high
    assert odd.max() > high > normal.max()


def test_a_detector_without_maps_says_so(surfaces: Any) -> None:
    scorer = SavedScorer(surfaces.trained("isolation_forest"), "cpu")
    with pytest.raises(ModelError, match="makes no anomaly maps"):
        scorer.maps([surfaces.images.read(surfaces.digests[0])], n_views=1)


@pytest.mark.parametrize("key", ["recipe", "threshold"])
def test_a_model_that_lacks_what_scoring_needs_is_refused_with_the_way_out(key: str, surfaces: Any) -> None:
    model = surfaces.trained("gaussian")
    lacking = replace(model, config={name: value for name, value in model.config.items() if name != key})
    with pytest.raises(ModelError, match=f"its {key}, so .* kedro run --pipelines refinement"):
        SavedScorer(lacking, "cpu")


def test_a_model_of_an_unknown_detector_is_refused(surfaces: Any) -> None:
    with pytest.raises(ParameterError, match="did you mean 'gaussian'"):
        recipe_of(replace(surfaces.trained("gaussian"), detector="gausian"))


@pytest.mark.parametrize(
    ("name", "features", "training", "expected"),
    [
        ("differnet", "float32", "bfloat16", True),  # a flow scores in float32 whatever it was trained in
        ("differnet", "bfloat16", "float32", False),
        ("patch_memory", "float32", "bfloat16", False),  # patches are compared in what it was trained in
        ("patch_memory", "float32", "float32", True),
    ],
)
def test_a_model_tells_whether_it_scores_in_float32(
    name: str, features: str, training: str, expected: bool, surfaces: Any
) -> None:
    model = surfaces.stating(surfaces.trained(name), features=features, training=training)
    assert scores_in_float32(model) is expected
    assert scores_in_float32(in_float32(model))


def test_a_model_that_scores_in_float32_keeps_its_threshold(surfaces: Any) -> None:
    model = surfaces.trained("differnet")
    plain = in_float32(model, [surfaces.images.read(surfaces.digests[0])])
    assert plain.config["threshold"] == model.config["threshold"]
    assert SavedScorer(plain, "cpu").threshold_fits


def test_without_images_the_threshold_of_another_arithmetic_is_said_not_to_fit(surfaces: Any) -> None:
    model = surfaces.stating(surfaces.trained("differnet"), features="bfloat16", training="auto")
    scorer = SavedScorer(in_float32(model), "cpu")
    assert scorer.threshold == model.config["threshold"]
    assert not scorer.threshold_fits
    assert SavedScorer(model, "cpu").threshold_fits
