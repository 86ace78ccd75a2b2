from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from irp_kedro.datasets.model import read_model, write_model
from irp_kedro.detectors import patch_memory
from irp_kedro.detectors.patch_memory import PatchMemory
from irp_kedro.detectors.settings import DetectorSettings
from irp_kedro.parameters import PatchParameters, TrainingParameters

Settings = Callable[..., DetectorSettings]
N_IMAGES, N_PATCHES, N_CHANNELS = 20, 9, 5
ROWS = np.arange(N_IMAGES)
ODD, ODD_PATCH, FAR = 3, 4, 8.0


@pytest.fixture(autouse=True)
def products_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers are the same on processors with and without bfloat16."""
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)


@pytest.fixture
def remembering(settings: Settings) -> Settings:
    def build(**changes: Any) -> DetectorSettings:
        everything = {"per_image": N_PATCHES, "neighbours": 0.2, "worst": 1, "references": 512}
        return settings(patches=PatchParameters(**{**everything, **changes}))

    return build


def good(n_images: int = N_IMAGES, seed: int = 0) -> torch.Tensor:
    return torch.randn(n_images, N_PATCHES, N_CHANNELS, generator=torch.Generator().manual_seed(seed)).half()


def with_an_odd_patch() -> torch.Tensor:
    patches = good()
    patches[ODD, ODD_PATCH] += FAR
    return patches


def fitted(patches: torch.Tensor, settings: DetectorSettings, rows: np.ndarray = ROWS) -> PatchMemory:
    detector = PatchMemory(patches, settings)
    detector.fit(rows, epochs=1)
    return detector


def slow_scores(
    features: np.ndarray, remembered: np.ndarray, reference: np.ndarray, k: int, n_worst: int
) -> list[float]:
    """Return the scores of all images by loops over images, patches and references, in double precision.

    ``remembered`` names the patches (n_images, per_image) that each image gives to the memory.
    """
    n_images, n_patches, n_channels = features.shape
    scale = np.sqrt(((features - features.mean(axis=(0, 1))) ** 2).mean(axis=(0, 1)) * n_channels)
    scaled = (features - features.mean(axis=0)) / scale

    def friends(image: int, patch: int) -> list[tuple[float, int, int]]:
        nearest = []
        for other in reference[reference != image]:
            steps = [np.linalg.norm(scaled[image, patch] - scaled[other, place]) for place in remembered[other]]
            nearest.append((min(steps), int(other), int(remembered[other][np.argmin(steps)])))
        return sorted(nearest)[:k]

    known = {pair: friends(*pair) for pair in product(range(n_images), range(n_patches))}
    scores = []
    for image in range(n_images):
        excess = [
            known[image, patch][-1][0]
            - np.mean([known[friend, place][-1][0] for _, friend, place in known[image, patch]])
            for patch in range(n_patches)
        ]
        scores.append(float(np.mean(sorted(excess)[-n_worst:])))
    return scores


@pytest.mark.parametrize(("n_reference", "neighbours", "k"), [(12, 0.25, 3), (12, 0.01, 1), (8, 0.25, 2)])
def test_the_score_is_that_of_a_slow_computation(
    n_reference: int, neighbours: float, k: int, remembering: Settings
) -> None:
    patches, reference = good(12), np.arange(n_reference)
    everything = np.tile(np.arange(N_PATCHES), (12, 1))
    expected = slow_scores(patches.double().numpy(), everything, reference, k, n_worst=3)
    detector = fitted(patches, remembering(neighbours=neighbours, worst=3), reference)
    np.testing.assert_allclose(detector.score(np.arange(12)), expected, atol=2e-3)


def test_a_memory_of_some_patches_is_asked_as_a_slow_computation_asks_it(remembering: Settings) -> None:
    patches = good(12)
    detector = fitted(patches, remembering(per_image=4, neighbours=0.25, worst=3), np.arange(12))
    held = detector.export().tensors
    original = held["patches"] * held["deviation"] + held["mean"].mean(dim=0)
    assert original.shape == (12, 4, N_CHANNELS)
    # A remembered patch is the one of its image that equals it once the mean of its position is taken away.
    scaled = (patches.float() - held["mean"]) / held["deviation"]
    remembered = torch.cdist(held["patches"], scaled).argmin(dim=2).numpy()
    assert all(len(set(drawn)) == 4 for drawn in remembered.tolist())
    expected = slow_scores(patches.double().numpy(), remembered, np.arange(12), k=3, n_worst=3)
    np.testing.assert_allclose(detector.score(np.arange(12)), expected, atol=2e-3)


def test_bfloat16_products_change_scores_little(remembering: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    exact = fitted(with_an_odd_patch(), remembering()).score(ROWS)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    coarse = fitted(with_an_odd_patch(), remembering()).score(ROWS)
    assert (coarse != exact).any()
    np.testing.assert_allclose(coarse, exact, atol=0.1)
    assert coarse.argmax() == exact.argmax() == ODD
    # Who asks for float32 gets it there too.
    asked = replace(remembering(), training=TrainingParameters(precision="float32"))
    np.testing.assert_array_equal(fitted(with_an_odd_patch(), asked).score(ROWS), exact)


def test_the_image_with_an_odd_patch_scores_highest(remembering: Settings) -> None:
    scores = fitted(with_an_odd_patch(), remembering()).score(ROWS)
    assert scores.argmax() == ODD
    assert scores[ODD] > 3 * np.delete(scores, ODD).max()


@pytest.mark.parametrize("neighbours", [0.06, 0.22])  # of 20 and of 19 images: 1 and 4
def test_an_image_is_never_its_own_neighbour(neighbours: float, remembering: Settings) -> None:
    patches = good()
    patches[ODD] += FAR  # so far away that it is nobody else's neighbour either
    settings = remembering(neighbours=neighbours)
    (among_others,) = fitted(patches, settings).score(ROWS[ODD : ODD + 1])
    (apart,) = fitted(patches, settings, np.delete(ROWS, ODD)).score(ROWS[ODD : ODD + 1])
    assert among_others == pytest.approx(apart, abs=2e-3)


def test_a_copy_of_an_image_does_not_vouch_for_it(remembering: Settings) -> None:
    patches = torch.cat([with_an_odd_patch(), with_an_odd_patch()[ODD : ODD + 1]])
    scores = fitted(patches, remembering(neighbours=0.05), np.arange(N_IMAGES + 1)).score(np.arange(21))
    assert scores[ODD] == scores[N_IMAGES]
    assert scores[ODD] > 3 * np.delete(scores, [ODD, N_IMAGES]).max()


def test_a_defect_that_fewer_images_than_neighbours_share_is_found_where_the_nearest_alone_hides_it(
    remembering: Settings,
) -> None:
    patches = good()
    shared = [0, 1, 2]
    patches[shared, ODD_PATCH] += FAR
    patches[shared, ODD_PATCH, :] = patches[0, ODD_PATCH] + 0.1 * patches[shared, 0]
    four = fitted(patches, remembering(neighbours=0.2)).score(ROWS)
    nearest_alone = fitted(patches, remembering(neighbours=0.05)).score(ROWS)
    assert four[shared].min() > 2 * four[3:].max()
    assert nearest_alone[shared].max() < np.median(nearest_alone[3:])


def test_the_anomaly_map_is_square_and_highest_at_the_odd_patch(remembering: Settings) -> None:
    maps = fitted(with_an_odd_patch(), remembering()).anomaly_map(np.array([7, ODD]))
    assert maps.shape == (2, 3, 3)
    assert maps[1].argmax() == ODD_PATCH
    assert maps[1, 1, 1] > 3 * maps[0].max()


def test_the_anomaly_map_of_an_oblong_has_its_shape(remembering: Settings) -> None:
    detector = fitted(with_an_odd_patch(), remembering())
    assert detector.anomaly_map(np.array([7]), 9.0).shape == (1, 1, 9)
    assert detector.anomaly_map(np.array([7]), 1 / 9).shape == (1, 9, 1)


def test_the_score_is_the_mean_of_the_worst_places_of_the_map(remembering: Settings) -> None:
    detector = fitted(with_an_odd_patch(), remembering(worst=3))
    three_worst = detector.anomaly_map(ROWS).flatten(1).sort(dim=1).values[:, -3:]
    np.testing.assert_allclose(detector.score(ROWS), three_worst.mean(dim=1).numpy(), rtol=1e-6)


def test_where_whole_images_are_remembered_their_order_does_not_matter(remembering: Settings) -> None:
    patches, rows = good(12), np.arange(12)
    order = np.random.default_rng(0).permutation(12)
    shuffled = fitted(patches[order], remembering(), rows).score(rows)
    np.testing.assert_allclose(shuffled, fitted(patches, remembering(), rows).score(rows)[order], atol=2e-3)


def test_the_order_of_the_training_rows_does_not_matter(remembering: Settings) -> None:
    one, other = (
        fitted(with_an_odd_patch(), remembering(per_image=4), rows).score(ROWS)
        for rows in (ROWS[5:], ROWS[:4:-1].copy())
    )
    np.testing.assert_array_equal(one, other)


def test_a_table_too_large_to_keep_changes_no_score(
    remembering: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = fitted(with_an_odd_patch(), remembering(), ROWS[5:])
    scores = kept.score(ROWS)
    monkeypatch.setattr(patch_memory, "KEPT_DISTANCES", 0)
    made_again = fitted(with_an_odd_patch(), remembering(), ROWS[5:])
    np.testing.assert_allclose(made_again.score(ROWS), scores, atol=1e-3)
    assert kept._table.made is not None
    assert made_again._table.made is None


def test_judges_of_every_name_share_distances_and_none_shares_its_reference(remembering: Settings) -> None:
    detector = PatchMemory(with_an_odd_patch(), remembering(per_image=4))
    one, other = detector.fresh("judge/1"), detector.fresh("judge/2")
    one.fit(ROWS, epochs=1)
    before = one.score(ROWS)
    other.fit(ROWS[5:], epochs=1)
    np.testing.assert_array_equal(one.score(ROWS), before)
    assert (other.score(ROWS) != before).any()
    assert one._table is other._table
    assert one._pairs is other._pairs
    assert one._table.made is not None
    for unfitted in (detector, one.fresh("judge/3")):
        with pytest.raises(RuntimeError, match="only after fit"):
            unfitted.score(ROWS)
    np.testing.assert_array_equal(
        other.score(ROWS), fitted(with_an_odd_patch(), remembering(per_image=4), ROWS[5:]).score(ROWS)
    )


@pytest.mark.parametrize(("references", "held"), [(7, 7), (20, 20), (512, 20)])
def test_references_cap_the_memory(references: int, held: int, remembering: Settings) -> None:
    detector = fitted(with_an_odd_patch(), remembering(references=references, per_image=4))
    assert detector.export().tensors["patches"].shape == (held, 4, N_CHANNELS)
    assert detector.score(ROWS).argmax() == ODD


def test_of_the_remembered_images_only_those_of_the_set_are_its_reference(remembering: Settings) -> None:
    detector = fitted(with_an_odd_patch(), remembering(references=12), ROWS[5:])
    reference = detector.state()["reference"].tolist()
    assert set(reference) <= set(range(5, N_IMAGES))
    assert len(detector.export().tensors["patches"]) == len(reference) < 12


def test_a_saved_detector_scores_images_seen_in_training_identically(
    remembering: Settings, tmp_path: Path
) -> None:
    patches = with_an_odd_patch()
    detector = fitted(patches, remembering(per_image=4), ROWS[5:])
    write_model(tmp_path / "model.safetensors", detector.export())
    trained = read_model(tmp_path / "model.safetensors")
    restored = PatchMemory.restore(trained, patches)
    np.testing.assert_allclose(restored.score(ROWS), detector.score(ROWS), atol=1e-3)
    backwards = PatchMemory.restore(trained, patches.flip(0))
    np.testing.assert_allclose(backwards.score(ROWS)[::-1], detector.score(ROWS), atol=1e-3)


def test_a_saved_detector_scores_unseen_images_whoever_is_with_them(remembering: Settings) -> None:
    trained = fitted(good(), remembering(per_image=4)).export()
    unseen = with_an_odd_patch() + 0.5
    alone = PatchMemory.restore(trained, unseen).score(ROWS)
    in_company = PatchMemory.restore(trained, torch.cat([good(), unseen])).score(np.arange(20, 40))
    np.testing.assert_allclose(in_company, alone, atol=1e-3)
    assert alone.argmax() == ODD


def test_training_goes_on_from_a_state(remembering: Settings) -> None:
    patches = with_an_odd_patch()
    detector = fitted(patches, remembering(per_image=4, references=12), ROWS[5:])
    other = PatchMemory(patches, remembering(per_image=4, references=12))
    assert other.state() == {}
    other.load_state(detector.state())
    np.testing.assert_array_equal(other.score(ROWS), detector.score(ROWS))


STAIN, BLANK = 0, 1  # two ways to be unusual, by the channel that is
LEFT, ALIKE, OTHERWISE = np.array([2, 5, 7]), 11, 13


def with_defects() -> torch.Tensor:
    """Return images of which some have a stained patch, wherever it is, and one a patch with a gap."""
    patches = good()
    for image, place, channel, step in (
        (2, 0, STAIN, FAR),
        (5, 3, STAIN, FAR),
        (7, 8, STAIN, FAR),
        (ALIKE, 4, STAIN, FAR),
        (OTHERWISE, 4, BLANK, -FAR),
    ):
        patches[image, place, channel] += step
    return patches


def normal_ones() -> np.ndarray:
    return np.setdiff1d(ROWS, [*LEFT, ALIKE, OTHERWISE])


def test_an_image_unusual_in_the_same_way_is_more_like_those_that_left_than_one_unusual_in_another(
    remembering: Settings,
) -> None:
    detector = fitted(with_defects(), remembering(), normal_ones())
    for among, (same, other, normal) in detector.resemblance(LEFT, np.array([ALIKE, OTHERWISE, 0])):
        assert among.shape == LEFT.shape
        assert same > 0 > max(other, normal)  # nearer to what left than to anything normal
        assert min(among) > max(other, normal)


@pytest.mark.parametrize(("neighbours", "several"), [(0.2, 1), (0.7, 2)])
def test_the_likeness_is_that_of_a_slow_computation(
    neighbours: float, several: int, remembering: Settings
) -> None:
    patches, reference, others = with_defects(), normal_ones(), np.array([ALIKE, OTHERWISE])
    settings = remembering(worst=2, neighbours=neighbours)
    detector = fitted(patches, settings, reference)
    excess = detector.anomaly_map(ROWS).flatten(1)
    scale = detector.export().tensors
    scaled = ((patches.float() - scale["mean"]) / scale["deviation"]).double()
    worst = [scaled[row, excess[row].topk(2).indices] for row in ROWS]

    def likeness(row: int, k: int) -> float:
        normal = torch.stack([torch.cdist(worst[row], scaled[other]).amin(dim=1) for other in reference])
        theirs = torch.stack(
            [torch.cdist(worst[row], worst[other]).amin(dim=1) for other in LEFT if other != row]
        )
        return float((normal.amin(dim=0) / theirs.kthvalue(k, dim=0).values).log().mean())

    for k, (among, to_them) in zip((1, several), detector.resemblance(LEFT, others), strict=True):
        np.testing.assert_allclose(among, [likeness(row, k) for row in LEFT], atol=5e-3)
        np.testing.assert_allclose(to_them, [likeness(row, k) for row in others], atol=5e-3)


def test_no_copy_of_an_image_vouches_for_what_it_is_like(remembering: Settings) -> None:
    patches = with_defects()
    patches[OTHERWISE] = patches[LEFT[0]]
    detector = fitted(patches, remembering(), normal_ones())
    for among, (copied,) in detector.resemblance(LEFT, np.array([OTHERWISE])):
        assert copied == pytest.approx(among[0], abs=1e-6)


def test_where_nobody_else_left_nothing_is_like_what_left(remembering: Settings) -> None:
    patches = with_defects()
    patches[OTHERWISE] = patches[LEFT[0]]
    detector = fitted(patches, remembering(), normal_ones())
    for among, (copied,) in detector.resemblance(LEFT[:1], np.array([OTHERWISE])):
        assert np.isfinite([*among, copied]).all()
        assert max(*among, copied) < -5


def test_company_is_that_of_a_slow_computation(remembering: Settings) -> None:
    patches, group, asked = with_defects(), np.array([1, 2, 5, 7, 8]), np.array([2, ALIKE, OTHERWISE])
    detector = PatchMemory(patches, remembering(worst=2))
    detector.fit(normal_ones(), epochs=1)
    scale = detector.export().tensors
    scaled = ((patches.float() - scale["mean"]) / scale["deviation"]).double()

    def far(row: int, nth: int) -> float:
        others = [torch.cdist(scaled[row], scaled[other]).amin(dim=1) for other in group if other != row]
        return float(torch.stack(others).kthvalue(nth, dim=0).values.topk(2).values.mean())

    for nth in (1, 3):
        expected = [far(row, nth) for row in asked]
        np.testing.assert_allclose(detector.company(group, asked, nth), expected, atol=5e-3)


def test_who_shares_what_is_unusual_is_in_company_and_others_are_not(remembering: Settings) -> None:
    detector = PatchMemory(with_defects(), remembering())
    stained, alone = detector.company(np.array([*LEFT, ALIKE]), np.array([ALIKE, OTHERWISE]), 3)
    assert stained < alone / 2


def test_company_needs_no_reference_and_leaves_the_one_there_is(remembering: Settings) -> None:
    patches = with_defects()
    fresh, learnt = PatchMemory(patches, remembering()), fitted(patches, remembering(), normal_ones())
    before = learnt.score(ROWS)
    np.testing.assert_array_equal(fresh.company(LEFT, ROWS, 2), learnt.company(LEFT, ROWS, 2))
    np.testing.assert_array_equal(learnt.score(ROWS), before)


@pytest.mark.parametrize("kept", [2**29, 400, 0])
def test_who_was_asked_of_before_and_how_much_is_kept_change_no_company(
    kept: int, remembering: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    patches, groups = with_defects(), [LEFT, ROWS[::2], ROWS[:9], ROWS]
    alone = [PatchMemory(patches, remembering()).company(group, ROWS[3:], 2) for group in groups]
    monkeypatch.setattr(patch_memory, "KEPT_PAIRS", kept)
    asked_before = PatchMemory(patches, remembering())
    for group, expected in zip(groups, alone, strict=True):
        asked_before.fresh("judge").company(group, ROWS[:5], 2)
        np.testing.assert_array_equal(asked_before.fresh("judge").company(group, ROWS[3:], 2), expected)


def test_company_among_images_that_a_judge_remembers_comes_from_its_table(remembering: Settings) -> None:
    patches = with_defects()
    expected = PatchMemory(patches, remembering()).company(LEFT, ROWS, 2)
    judge = fitted(patches, remembering(), normal_ones())
    judge.score(ROWS)
    judge._distances_between = None  # type: ignore[method-assign, assignment] - nothing is compared again
    np.testing.assert_allclose(judge.company(LEFT, ROWS, 2), expected, atol=1e-3)


def test_neither_an_image_nor_its_copy_is_company_to_it_and_of_too_few_there_is_none(
    remembering: Settings,
) -> None:
    patches = with_defects()
    patches[OTHERWISE] = patches[LEFT[0]]
    detector = PatchMemory(patches, remembering())
    for nth, finite in ((2, True), (3, False), (4, False)):
        ((itself, copied),) = [detector.company(LEFT, np.array([LEFT[0], OTHERWISE]), nth)]
        assert itself == pytest.approx(copied)
        assert np.isfinite(itself) == finite
