from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from irp_kedro.detectors.differnet import DifferNet
from irp_kedro.detectors.flow import NormalizingFlow
from irp_kedro.detectors.settings import DetectorSettings
from irp_kedro.features.residence import StreamedViews
from irp_kedro.parameters import TrainingParameters, ViewParameters

Settings = Callable[..., DetectorSettings]
ROWS, NORMAL = np.arange(40), np.arange(36)


def trained(features: torch.Tensor, settings: DetectorSettings, name: str = "detector") -> DifferNet:
    detector = DifferNet(features, settings, name)
    detector.fit(NORMAL, epochs=3)
    return detector


def test_another_seed_gives_other_scores(features: torch.Tensor, settings: Settings) -> None:
    first, other = (trained(features, settings(seed=seed)).score(ROWS) for seed in (0, 1))
    assert not np.isclose(first, other).any()


def test_another_name_gives_other_scores(features: torch.Tensor, settings: Settings) -> None:
    first, other = (trained(features, settings(), name).score(ROWS) for name in ("judge/1/0", "judge/1/1"))
    assert not np.isclose(first, other).any()


def test_a_fresh_detector_is_one_built_under_that_name(features: torch.Tensor, settings: Settings) -> None:
    fresh = trained(features, settings()).fresh("judge/2")
    fresh.fit(NORMAL, epochs=3)
    np.testing.assert_array_equal(fresh.score(ROWS), trained(features, settings(), "judge/2").score(ROWS))


def test_the_likelihood_ranks_what_lies_far_higher_too(features: torch.Tensor, settings: Settings) -> None:
    detector = DifferNet(features, settings(score="negative_log_likelihood"))
    detector.fit(NORMAL, epochs=8)
    scores = detector.score(ROWS)
    assert scores[36:].min() > scores[:36].max()


def test_latent_energy_is_never_negative(features: torch.Tensor, settings: Settings) -> None:
    assert (trained(features, settings()).score(ROWS) >= 0).all()


def test_training_lowers_the_loss(features: torch.Tensor, settings: Settings) -> None:
    losses = DifferNet(features, settings()).fit(NORMAL, epochs=10)
    assert len(losses) == 10
    assert losses[-1] < losses[0]


def test_epochs_in_two_parts_equal_epochs_in_one(features: torch.Tensor, settings: Settings) -> None:
    parts, whole = DifferNet(features, settings()), DifferNet(features, settings())
    losses = parts.fit(NORMAL, epochs=2) + parts.fit(NORMAL, epochs=1)
    assert losses == whole.fit(NORMAL, epochs=3)
    np.testing.assert_array_equal(parts.score(ROWS), whole.score(ROWS))


def test_no_epochs_give_no_losses_but_a_detector_that_scores(
    features: torch.Tensor, settings: Settings
) -> None:
    detector = DifferNet(features, settings())
    assert detector.fit(NORMAL, epochs=0) == []
    assert np.isfinite(detector.score(ROWS)).all()


def test_scale_and_offset_of_the_features_do_not_matter(features: torch.Tensor, settings: Settings) -> None:
    plain = trained(features.float(), settings()).score(ROWS)
    moved = trained(features.float() * 8 + 16, settings()).score(ROWS)
    np.testing.assert_allclose(moved, plain, rtol=1e-2)


def test_features_are_standardised_by_the_first_training_set(
    features: torch.Tensor, settings: Settings
) -> None:
    detector = DifferNet(features, settings())
    detector.fit(NORMAL, epochs=0)
    before = detector.score(ROWS)
    detector.fit(NORMAL[:5], epochs=0)
    np.testing.assert_array_equal(detector.score(ROWS), before)


def test_an_image_is_scored_by_evenly_spread_views(features: torch.Tensor, settings: Settings) -> None:
    features[:, [1, 3]] = float("nan")
    half_of_them = settings(views=ViewParameters(bank=4, train=1, score=2))
    detector = DifferNet(features, half_of_them)
    detector.mean, detector.deviation = torch.zeros(8), torch.ones(8)
    assert np.isfinite(detector.score(ROWS)).all()


def test_a_score_is_the_mean_over_views(features: torch.Tensor, settings: Settings) -> None:
    detector = trained(features, settings())
    one_view = settings(views=ViewParameters(bank=4, train=1, score=1))
    each = [DifferNet.restore(detector.export(), features[:, [view]]) for view in range(4)]
    for single in each:
        single.settings = one_view
    mean = np.mean([single.score(ROWS) for single in each], axis=0)
    np.testing.assert_allclose(detector.score(ROWS), mean, rtol=1e-5)


def test_an_epoch_draws_every_image_equally_often_and_no_view_twice(
    features: torch.Tensor, settings: Settings
) -> None:
    marked = torch.zeros(40, 4, 8)
    marked[..., 0] = torch.arange(40)[:, None]
    marked[..., 1] = torch.arange(4)
    detector = DifferNet(marked, settings())
    drawn = [
        {(int(image), int(view)) for image, view in detector.features.gather(*detector._drawn(NORMAL))[:, :2]}
        for _ in range(2)
    ]
    for pairs in drawn:
        assert len(pairs) == 2 * len(NORMAL)
        assert sorted(image for image, _ in pairs) == sorted([*NORMAL, *NORMAL])
    assert drawn[0] != drawn[1]


def test_how_many_are_scored_together_does_not_matter(features: torch.Tensor, settings: Settings) -> None:
    detector = trained(features, settings())
    whole = detector.score(ROWS)
    detector._scored_together = 7
    np.testing.assert_allclose(detector.score(ROWS), whole, rtol=1e-5)


def test_weights_and_permutations_come_from_the_file_not_from_the_seed(
    features: torch.Tensor, settings: Settings
) -> None:
    detector = trained(features, settings(seed=3))
    exported = detector.export()
    reseeded = replace(exported, config={**exported.config, "settings": settings(seed=4).as_config()})
    restored = DifferNet.restore(reseeded, features)
    np.testing.assert_array_equal(restored.score(ROWS), detector.score(ROWS))


def test_a_restored_detector_scores_images_it_never_saw(features: torch.Tensor, settings: Settings) -> None:
    detector = trained(features[:36], settings())
    restored = DifferNet.restore(detector.export(), features[36:])
    assert restored.score(np.arange(4)).min() > detector.score(NORMAL).max()


def test_streamed_features_train_the_same_detector_as_resident_ones(
    features: torch.Tensor, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    resident = trained(features, settings())
    monkeypatch.setattr("irp_kedro.detectors.differnet.BATCHES_GATHERED", 1)
    streamed = DifferNet(StreamedViews(features, features.device), settings())
    losses = streamed.fit(NORMAL, epochs=3)
    np.testing.assert_allclose(losses, DifferNet(features, settings()).fit(NORMAL, epochs=3), rtol=1e-6)
    np.testing.assert_allclose(streamed.score(ROWS), resident.score(ROWS), rtol=1e-5)


def too_large_a_batch(monkeypatch: pytest.MonkeyPatch, fits: int) -> list[int]:
    """Let memory end above ``fits`` vectors, in the midst of a step; return the sizes that passed."""
    passed: list[int] = []
    forward = NormalizingFlow.forward

    def limited(flow: NormalizingFlow, vectors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        result = forward(flow, vectors)
        if len(vectors) > fits:
            raise torch.OutOfMemoryError("CUDA out of memory")
        passed.append(len(vectors))
        return result

    monkeypatch.setattr(NormalizingFlow, "forward", limited)
    return passed


def test_where_memory_ends_training_takes_the_same_steps_in_parts(
    features: torch.Tensor, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = settings(training=TrainingParameters(batch_views=32, learning_rate=2e-3, precision="float32"))
    whole = DifferNet(features, exact)
    losses = whole.fit(NORMAL, epochs=2)
    before = whole.score(ROWS)
    passed = too_large_a_batch(monkeypatch, fits=10)
    parts = DifferNet(features, exact)
    np.testing.assert_allclose(parts.fit(NORMAL, epochs=2), losses, rtol=1e-5)
    assert max(passed) == 8  # of 32: halved twice
    np.testing.assert_allclose(parts.score(ROWS), before, rtol=1e-4)


def test_bfloat16_products_change_scores_little(features: torch.Tensor, settings: Settings) -> None:
    scores = []
    for precision in ("float32", "bfloat16"):
        training = TrainingParameters(batch_views=32, learning_rate=2e-3, precision=precision)
        scores.append(trained(features, settings(training=training)).score(ROWS))
    assert not np.array_equal(*scores)
    np.testing.assert_allclose(*scores, rtol=0.05)


def test_scores_to_compare_are_in_the_precision_of_training_and_scores_to_keep_are_not(
    features: torch.Tensor, settings: Settings
) -> None:
    half = DifferNet(features, settings(training=TrainingParameters(precision="bfloat16")))
    half.fit(NORMAL, epochs=3)
    kept, compared = half.score(ROWS), half.score_there(ROWS, exact=False).numpy()
    assert not np.array_equal(compared, kept)
    np.testing.assert_allclose(compared, kept, rtol=0.05)
    whole = DifferNet(features, settings(training=TrainingParameters(precision="float32")))
    whole.fit(NORMAL, epochs=3)
    np.testing.assert_array_equal(whole.score_there(ROWS, exact=False).numpy(), whole.score(ROWS))
