"""Maps of saved detectors, from real features of images drawn here."""

import numpy as np
import pytest
import torch
from PIL import Image

from irp_kedro.detectors.registry import detector_type
from irp_kedro.detectors.settings import DetectorSettings, TrainedDetector
from irp_kedro.errors import IncompleteRunError
from irp_kedro.features.bank import FeatureBank, FeatureStore
from irp_kedro.features.extraction import ExtractionPlan, extract
from irp_kedro.features.preparation import Preparation, PreparedImages
from irp_kedro.inspection import Inspected, load_backbone, map_images
from irp_kedro.parameters import FlowParameters, PatchParameters, TrainingParameters, ViewParameters

SIDE = 64
NAMES = [f"{number:032x}" for number in range(20)]
SETTINGS = DetectorSettings(
    flow=FlowParameters(blocks=2, hidden=16, layers=1),
    training=TrainingParameters(batch_views=32, learning_rate=2e-3),
    views=ViewParameters(bank=4, train=4, score=4),
    patches=PatchParameters(size=SIDE, per_image=2, references=8, worst=1),
    score="latent_energy",
    seed=0,
)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Inspected:
    """Twenty surfaces; the last has a bright square at its lower left."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    paths = {name: folder / f"{name}.png" for name in NAMES}
    for name, path in paths.items():
        pixels = rng.normal(150, 6, (SIDE, SIDE, 3)).clip(0, 255).astype(np.uint8)
        if name == NAMES[-1]:
            pixels[40:52, 12:24] = 240
        Image.fromarray(pixels).save(path)
    images = PreparedImages(paths, Preparation(crop="none", size=SIDE))
    store = FeatureStore(folder / "store")
    bank, _ = extract(images, plan(n_views=4), store, torch.device("cpu"))
    patches, _ = extract(images, plan(n_views=1, patch_levels=2), store, torch.device("cpu"))
    return Inspected(bank=bank, patches=patches, images=images, device="cpu")


def plan(n_views: int, patch_levels: int = 0) -> ExtractionPlan:
    return ExtractionPlan(
        backbone="efficientnet_lite0",
        scales=(1.0,),
        n_views=n_views,
        precision="float32",
        batch_views=8,
        shard_images=64,
        patch_levels=patch_levels,
    )


def trained(name: str, bank: FeatureBank) -> TrainedDetector:
    detector = detector_type(name)(torch.from_numpy(bank.read(NAMES)), SETTINGS)
    detector.fit(np.arange(19), epochs=40)
    return detector.export()


@pytest.mark.parametrize(
    ("name", "method"), [("differnet", "gradient"), ("gaussian", "gradient"), ("patch_memory", "patches")]
)
def test_the_map_of_an_odd_image_points_at_what_is_odd(seen: Inspected, name: str, method: str) -> None:
    bank = seen.bank if method == "gradient" else seen.patches
    assert bank
    maps = map_images(trained(name, bank), seen, ["a", "b"], [NAMES[0], NAMES[-1]], n_views=4)
    assert (maps.image_ids, maps.method) == (("a", "b"), method)
    grid = maps.of("b")
    row, column = np.unravel_index(grid.argmax(), grid.shape)
    assert row >= grid.shape[0] / 2
    assert column < grid.shape[1] / 2


def test_a_detector_that_knows_no_places_makes_no_maps(seen: Inspected) -> None:
    maps = map_images(trained("isolation_forest", seen.bank), seen, ["a"], NAMES[:1], n_views=2)
    assert len(maps) == 0


def test_of_no_images_there_are_no_maps(seen: Inspected) -> None:
    assert len(map_images(trained("gaussian", seen.bank), seen, [], [], n_views=2)) == 0


def test_how_many_images_are_taken_together_changes_nothing(
    seen: Inspected, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = trained("gaussian", seen.bank)
    whole = map_images(model, seen, NAMES, NAMES, n_views=2)
    monkeypatch.setattr("irp_kedro.inspection.VIEWS_TOGETHER", 2)
    single = map_images(model, seen, NAMES, NAMES, n_views=2)
    np.testing.assert_allclose(whole.maps, single.maps, rtol=0.01, atol=float(whole.maps.max()) * 1e-3)


def test_a_backbone_of_other_weights_is_refused(seen: Inspected) -> None:
    recipe = seen.bank.read_recipe()
    other = type(recipe).from_dict({**recipe.as_dict(), "weights": "f" * 16})
    with pytest.raises(IncompleteRunError, match="weights of backbone 'efficientnet_lite0'"):
        load_backbone(other, torch.device("cpu"))
