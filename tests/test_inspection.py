"""Maps of saved detectors, from real features of images drawn here."""

from typing import Any

import numpy as np
import pytest
import torch

from irp_kedro.core.anomaly_maps import AnomalyMaps
from irp_kedro.detectors.localization import gradient_maps
from irp_kedro.errors import IncompleteRunError
from irp_kedro.inspection import Inspected, load_backbone, map_images


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


def test_the_map_of_an_oblong_points_at_what_is_odd(oblongs: Any) -> None:
    found = maps_of(oblongs, "patch_memory", 3, 19)
    assert found.maps.shape == (2, 6, 3)
    assert np.unravel_index(found.of("id19").argmax(), (6, 3)) == (5, 0)
