import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from irp_kedro.features import extraction
from irp_kedro.features.backbone import Backbone
from irp_kedro.features.bank import ExtractionRecipe, FeatureStore
from irp_kedro.features.colours import colour_cells, colour_recipe
from irp_kedro.features.extraction import ExtractionPlan, extract, resolve_precision
from irp_kedro.features.preparation import Preparation, PreparedImages

CPU = torch.device("cpu")
PLAN = ExtractionPlan(
    backbone="efficientnet_lite0",
    scales=(1.0,),
    n_views=2,
    precision="float32",
    batch_views=4,
    shard_images=3,
)
load_once = cache(Backbone)


@pytest.fixture(autouse=True)
def one_backbone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading the weights takes longer than these extractions."""
    monkeypatch.setattr(extraction, "Backbone", load_once)


def set_of(folder: Path, numbers: range, name: Callable[[int], str] = "image{}.png".format) -> PreparedImages:
    folder.mkdir(parents=True, exist_ok=True)
    paths: dict[str, Path] = {}
    for number in numbers:
        pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        path = folder / name(number)
        Image.fromarray(pixels).save(path)
        paths[hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()] = path
    return PreparedImages(paths, Preparation(crop="none", size=32))


@pytest.fixture
def images(tmp_path: Path) -> PreparedImages:
    return set_of(tmp_path / "images", range(7))


def test_every_view_of_every_image_gets_its_features(images: PreparedImages, store: FeatureStore) -> None:
    bank, record = extract(images, PLAN, store, CPU)
    features = bank.read(bank.digests)
    assert features.shape == (7, 2, 472)
    assert np.isfinite(features).all()
    assert (record.extracted, record.reused) == (7, 0)
    assert len(np.unique(features, axis=0)) == 7


def test_the_first_view_is_the_image_as_it_is(images: PreparedImages, store: FeatureStore) -> None:
    bank, _ = extract(images, PLAN, store, CPU)
    digest = bank.digests[3]
    pixels = torch.from_numpy(images.read(digest).copy()).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        alone = load_once("efficientnet_lite0", (1.0,))(pixels)[0].numpy()
    np.testing.assert_allclose(bank.read([digest])[0, 0], alone, rtol=2e-3, atol=2e-3)


def test_a_second_extraction_extracts_nothing(images: PreparedImages, store: FeatureStore) -> None:
    first, _ = extract(images, PLAN, store, CPU)
    for path in images.paths.values():
        path.unlink()  # nothing is even decoded
    second, record = extract(images, PLAN, store, CPU)
    assert (record.extracted, record.reused) == (0, 7)
    assert second == first


def test_only_new_images_are_extracted(images: PreparedImages, store: FeatureStore, tmp_path: Path) -> None:
    extract(images, PLAN, store, CPU)
    more = set_of(tmp_path / "more", range(5, 9))
    bank, record = extract(more, PLAN, store, CPU)
    assert (record.extracted, record.reused) == (2, 2)
    assert len(bank.read(bank.digests)) == 4


@pytest.mark.parametrize("killed_after", [1, 3, 4, 6, 7])
def test_a_kill_loses_at_most_one_shard_and_changes_no_bit(
    killed_after: int, images: PreparedImages, store: FeatureStore, tmp_path: Path
) -> None:
    def kill(done: int, _: int) -> None:
        if done >= killed_after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract(images, PLAN, store, CPU, kill)
    resumed, record = extract(images, PLAN, store, CPU)
    assert record.reused == (killed_after - 1) // 3 * 3
    unbroken, _ = extract(images, PLAN, FeatureStore(tmp_path / "unbroken"), CPU)
    np.testing.assert_array_equal(resumed.read(resumed.digests), unbroken.read(unbroken.digests))
    assert resumed.digest == unbroken.digest


def test_renaming_files_changes_no_bit(images: PreparedImages, store: FeatureStore, tmp_path: Path) -> None:
    named, _ = extract(images, PLAN, store, CPU)
    renamed = set_of(tmp_path / "renamed", range(6, -1, -1), lambda number: f"defect_{9 - number}.png")
    assert renamed.paths.keys() == images.paths.keys()
    other, _ = extract(renamed, PLAN, FeatureStore(tmp_path / "other"), CPU)
    assert other.digest == named.digest
    np.testing.assert_array_equal(other.read(named.digests), named.read(named.digests))


def test_progress_counts_up_to_what_was_missing(images: PreparedImages, store: FeatureStore) -> None:
    seen: list[tuple[int, int]] = []
    extract(images, PLAN, store, CPU, lambda done, total: seen.append((done, total)))
    assert seen == [(2, 7), (3, 7), (5, 7), (6, 7), (7, 7)]


def test_left_to_itself_a_cpu_takes_16_views_together(images: PreparedImages, store: FeatureStore) -> None:
    seen: list[int] = []
    plan = ExtractionPlan(**{**vars(PLAN), "n_views": 4, "batch_views": "auto", "shard_images": 64})
    extract(images, plan, store, CPU, lambda done, total: seen.append(done))
    assert seen == [4, 7]


@pytest.mark.parametrize(("n_views", "batch_views"), [(4, 3), (3, 8), (1, 1)])
def test_how_views_fill_a_batch_matters_to_rounding_alone(
    n_views: int, batch_views: int, images: PreparedImages, store: FeatureStore, tmp_path: Path
) -> None:
    plan = ExtractionPlan(**{**vars(PLAN), "n_views": n_views, "batch_views": batch_views})
    roomy = ExtractionPlan(**{**vars(plan), "batch_views": 32})
    tight, _ = extract(images, plan, store, CPU)
    wide, _ = extract(images, roomy, FeatureStore(tmp_path / "wide"), CPU)
    features = tight.read(tight.digests)
    assert features.shape == (7, n_views, 472)
    np.testing.assert_allclose(features, wide.read(wide.digests), rtol=2e-3, atol=2e-3)


def test_another_size_of_the_image_is_another_recipe(images: PreparedImages, store: FeatureStore) -> None:
    first, _ = extract(images, PLAN, store, CPU)
    larger = PreparedImages(images.paths, Preparation(crop="none", size=40))
    second, record = extract(larger, PLAN, store, CPU)
    assert record.extracted == 7
    assert second.store != first.store


def test_bfloat16_features_are_near_those_of_float32(images: PreparedImages, store: FeatureStore) -> None:
    exact, _ = extract(images, PLAN, store, CPU)
    coarse, _ = extract(images, ExtractionPlan(**{**vars(PLAN), "precision": "bfloat16"}), store, CPU)
    a, b = (bank.read(bank.digests).astype(float).ravel() for bank in (exact, coarse))
    assert coarse.recipe != exact.recipe
    assert np.corrcoef(a, b)[0, 1] > 0.99


def test_features_beyond_half_precision_stay_finite(
    images: PreparedImages, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Loud(torch.nn.Module):
        def forward(self, views: torch.Tensor) -> torch.Tensor:
            return torch.full((len(views), 2), 1e6)

        def weights_digest(self) -> str:
            return "loud"

    monkeypatch.setattr(extraction, "Backbone", lambda *_: Loud())
    bank, _ = extract(images, PLAN, store, CPU)
    assert (bank.read(bank.digests) == 65504).all()


@pytest.mark.parametrize(("multiplied_in_hardware", "expected"), [(True, "bfloat16"), (False, "float32")])
def test_auto_takes_bfloat16_where_hardware_multiplies_it(
    multiplied_in_hardware: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda **_: multiplied_in_hardware)

    def is_bf16_supported(*, including_emulation: bool = True) -> bool:
        return including_emulation or multiplied_in_hardware

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_bf16_supported)
    assert resolve_precision("auto", CPU) == expected
    assert resolve_precision("auto", torch.device("cuda")) == expected
    assert resolve_precision("float32", CPU) == "float32"


def test_patches_make_a_bank_of_their_own_beside_the_pooled_one(
    images: PreparedImages, store: FeatureStore
) -> None:
    larger = PreparedImages(images.paths, Preparation(crop="none", size=64))
    upright = ExtractionPlan(**{**vars(PLAN), "n_views": 1})
    pooled, _ = extract(larger, upright, store, CPU)
    patches, record = extract(
        larger, ExtractionPlan(**{**vars(upright), "patch_levels": 2, "finer": True}), store, CPU
    )
    assert record.extracted == 7
    assert patches.recipe != pooled.recipe
    assert patches.store != pooled.store
    assert patches.read(patches.digests).shape == (7, 2 * 2, 432)
    digest = patches.digests[3]
    pixels = torch.from_numpy(larger.read(digest).copy()).permute(2, 0, 1)[None].float() / 255
    with torch.inference_mode():
        alone = load_once("efficientnet_lite0", (1.0,)).patches(pixels, 2)[0][0].numpy()
    np.testing.assert_allclose(patches.read([digest])[0], alone, rtol=2e-3, atol=2e-3)
    assert patches.fine().read(patches.digests).shape == (7, 4 * 4, 152)


def test_patches_of_quarter_turns_are_another_bank_and_two_turns_are_refused(
    images: PreparedImages, store: FeatureStore
) -> None:
    larger = PreparedImages(images.paths, Preparation(crop="none", size=64))
    of_patches = {**vars(PLAN), "patch_levels": 2, "finer": True}
    upright, _ = extract(larger, ExtractionPlan(**{**of_patches, "n_views": 1}), store, CPU)
    turned, record = extract(larger, ExtractionPlan(**{**of_patches, "n_views": 4}), store, CPU)
    assert record.extracted == 7
    assert {turned.recipe, turned.finer}.isdisjoint({upright.recipe, upright.finer})
    with pytest.raises(ValueError, match="its 4 quarter turns"):
        ExtractionPlan(**{**of_patches, "n_views": 2})


def test_a_recipe_of_pooled_features_is_called_what_it_was_before_there_were_patches() -> None:
    before = ExtractionRecipe(
        backbone="efficientnet_lite0",
        weights="0" * 16,
        crop="none",
        size=224,
        angles=(0.0, 90.0),
        scales=(1.0, 0.5),
        precision="float32",
    )
    assert before.digest() == "fe961141ee57fb97"  # as of the first version
    assert "patch_levels" not in before.as_dict()
    patches = ExtractionRecipe(**{**vars(before), "patch_levels": 2})
    assert patches.as_dict() == {**before.as_dict(), "patch_levels": 2, "patch_skip": 0}
    assert patches.digest() != before.digest()


@pytest.mark.parametrize("patch_levels", [0, 2])
def test_where_memory_ends_fewer_views_pass_together(
    patch_levels: int, images: PreparedImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = ExtractionPlan(**{**vars(PLAN), "n_views": 1 if patch_levels else 2, "patch_levels": patch_levels})
    whole, _ = extract(images, plan, FeatureStore(tmp_path / "whole"), CPU)
    backbone = load_once("efficientnet_lite0", (1.0,), "float32")
    forward, passed = backbone.levels.forward, []

    def limited(views: torch.Tensor) -> list[torch.Tensor]:
        if len(views) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        passed.append(len(views))
        return forward(views)

    monkeypatch.setattr(backbone.levels, "forward", limited)
    parts, record = extract(images, plan, FeatureStore(tmp_path / "parts"), CPU)
    assert record.extracted == 7
    assert set(passed) == {2}
    np.testing.assert_allclose(parts.read(parts.digests), whole.read(whole.digests), rtol=5e-3, atol=5e-3)


def test_finer_patches_are_made_once_they_are_asked_for_and_coarse_ones_stay(
    images: PreparedImages, store: FeatureStore
) -> None:
    larger = PreparedImages(images.paths, Preparation(crop="none", size=64))
    plan = ExtractionPlan(**{**vars(PLAN), "n_views": 1, "patch_levels": 2})
    coarse, _ = extract(larger, plan, store, CPU)
    assert coarse.finer == ""
    shards = sorted(coarse.store.iterdir())
    both, record = extract(larger, ExtractionPlan(**{**vars(plan), "finer": True}), store, CPU)
    assert record.extracted == 7
    assert both.recipe == coarse.recipe
    assert sorted(both.store.iterdir()) == shards
    assert both.fine().read(both.digests).shape == (7, 4 * 4, 152)


def test_colours_are_made_beside_patches_and_later_without_the_network(
    images: PreparedImages, store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    larger = PreparedImages(images.paths, Preparation(crop="none", size=64))
    plan = ExtractionPlan(**{**vars(PLAN), "n_views": 1, "patch_levels": 2, "finer": True})
    before, _ = extract(larger, plan, store, CPU)
    assert before.coloured == ""
    monkeypatch.setattr(Backbone, "patches", lambda *_: pytest.fail("only colours are lacking"))
    bank, record = extract(larger, replace(plan, coloured=True), store, CPU)
    assert (record.extracted, bank.recipe, bank.finer) == (7, before.recipe, before.finer)
    assert bank.digest != before.digest
    digest = bank.digests[3]
    pixels = torch.from_numpy(larger.read(digest).copy()).permute(2, 0, 1)[None].float() / 255
    expected = colour_cells(pixels)[0].half().numpy()
    np.testing.assert_array_equal(bank.colours().read([digest])[0], expected)
    assert bank.colours().read_recipe() == colour_recipe(larger.preparation)


def test_patches_and_colours_of_one_pass_are_those_of_two(images: PreparedImages, tmp_path: Path) -> None:
    larger = PreparedImages(images.paths, Preparation(crop="none", size=64))
    plan = ExtractionPlan(**{**vars(PLAN), "n_views": 1, "patch_levels": 2, "finer": True, "coloured": True})
    at_once, _ = extract(larger, plan, FeatureStore(tmp_path / "once"), CPU)
    extract(larger, replace(plan, coloured=False), FeatureStore(tmp_path / "twice"), CPU)
    in_turn, _ = extract(larger, plan, FeatureStore(tmp_path / "twice"), CPU)
    for one, other in zip(
        (at_once, at_once.fine(), at_once.colours()), (in_turn, in_turn.fine(), in_turn.colours()), strict=True
    ):
        np.testing.assert_array_equal(one.read(one.digests), other.read(other.digests))
