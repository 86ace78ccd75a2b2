"""Maps of saved detectors, from real features of images drawn here."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from irp_kedro.core.anomaly_maps import AnomalyMaps
from irp_kedro.detectors.localization import gradient_maps
from irp_kedro.detectors.patch_memory import PatchMemory
from irp_kedro.detectors.settings import DetectorSettings
from irp_kedro.errors import IncompleteRunError
from irp_kedro.features.bank import FeatureStore
from irp_kedro.features.extraction import ExtractionPlan, extract
from irp_kedro.features.preparation import Preparation, PreparedImages
from irp_kedro.inspection import Inspected, load_backbone, map_images
from irp_kedro.judges import load_features
from irp_kedro.parameters import FlowParameters, TrainingParameters, ViewParameters


def maps_of(surfaces: Any, name: str, *rows: int, n_views: int = 4) -> AnomalyMaps:
    seen = Inspected(bank=surfaces.bank, patches=surfaces.patches, images=surfaces.images, device="cpu")
    digests = [surfaces.digests[row] for row in rows]
    return map_images(surfaces.trained(name), seen, [f"id{row}" for row in rows], digests, n_views=n_views)


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("differnet", "gradient"),
        ("gaussian", "gradient"),
        ("patch_memory", "patches"),
        ("fine_patch_memory", "patches"),
        ("colour_memory", "patches"),
    ],
)
def test_the_map_of_an_odd_image_points_at_what_is_odd(surfaces: Any, name: str, method: str) -> None:
    maps = maps_of(surfaces, name, 0, 19)
    assert (maps.image_ids, maps.method, maps.detector) == (("id0", "id19"), method, name)
    grid = maps.of("id19")
    row, column = np.unravel_index(grid.argmax(), grid.shape)
    assert row >= grid.shape[0] / 2
    assert column < grid.shape[1] / 2


def test_a_detector_that_knows_no_places_makes_no_maps(surfaces: Any) -> None:
    assert len(maps_of(surfaces, "isolation_forest", 0)) == 0


def test_of_no_images_there_are_no_maps(surfaces: Any) -> None:
    assert len(maps_of(surfaces, "gaussian")) == 0


def test_how_many_images_are_taken_together_changes_nothing(
    surfaces: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = maps_of(surfaces, "gaussian", *range(20), n_views=2)
    monkeypatch.setattr("irp_kedro.inspection.VIEWS_TOGETHER", 2)
    single = maps_of(surfaces, "gaussian", *range(20), n_views=2)
    np.testing.assert_allclose(whole.maps, single.maps, rtol=0.01, atol=float(whole.maps.max()) * 1e-3)


def test_a_last_batch_of_fewer_images_has_the_shape_of_the_others(
    surfaces: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes = []

    def noted(detector: Any, backbone: Any, images: torch.Tensor, *rest: Any, **named: Any) -> torch.Tensor:
        shapes.append(images.shape)
        return gradient_maps(detector, backbone, images, *rest, **named)

    monkeypatch.setattr("irp_kedro.inspection.gradient_maps", noted)
    assert len(maps_of(surfaces, "gaussian", *range(6), n_views=2).maps) == 6
    assert len(shapes) == 2
    assert len(set(shapes)) == 1


def test_a_backbone_of_other_weights_is_refused(surfaces: Any) -> None:
    recipe = surfaces.bank.read_recipe()
    other = type(recipe).from_dict({**recipe.as_dict(), "weights": "f" * 16})
    with pytest.raises(IncompleteRunError, match="weights of backbone 'efficientnet_lite0'"):
        load_backbone(other, torch.device("cpu"))


def test_the_map_of_an_oblong_points_at_what_is_odd(tmp_path: Path, draw_surface: Callable[..., Any]) -> None:
    rng, paths = np.random.default_rng(0), {}
    for number in range(12):
        pixels = np.concatenate([draw_surface(rng), draw_surface(rng)[:, ::-1]])  # twice as high as wide
        if number == 11:
            pixels[-30:-6, 8:32] = (240, 240, 60)
        paths[f"{number:032x}"] = tmp_path / f"{number}.png"
        Image.fromarray(pixels).save(paths[f"{number:032x}"])
    images = PreparedImages(paths, Preparation(crop="none", size=136, aspect=0.5))
    plan = ExtractionPlan(
        backbone="efficientnet_lite0",
        scales=(1.0,),
        n_views=4,
        precision="float32",
        batch_views=4,
        shard_images=64,
        patch_levels=2,
    )
    bank, _ = extract(images, plan, FeatureStore(tmp_path / "store"), torch.device("cpu"))
    told = DetectorSettings(
        flow=FlowParameters(),
        training=TrainingParameters(precision="float32"),
        views=ViewParameters(),
        score="latent_energy",
        seed=0,
    )
    detector = PatchMemory(load_features(bank, bank.digests, "cpu"), told)
    detector.fit(np.arange(11), epochs=1)
    seen = Inspected(bank=bank, patches=bank, images=images, device="cpu")
    maps = map_images(detector.export(), seen, ["odd"], [f"{11:032x}"], n_views=4)
    assert maps.maps.shape == (1, 6, 3)
    assert np.unravel_index(maps.of("odd").argmax(), (6, 3)) == (5, 0)
