from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.covariance import LedoitWolf

from irp_kedro.datasets.model import read_model, write_model
from irp_kedro.detectors.gaussian import Gaussian
from irp_kedro.detectors.settings import DetectorSettings
from irp_kedro.features.residence import StreamedViews

Settings = Callable[..., DetectorSettings]
ROWS, NORMAL = np.arange(40), np.arange(36)


def scores_of(
    features: torch.Tensor | StreamedViews, settings: DetectorSettings, name: str = "detector"
) -> np.ndarray:
    detector = Gaussian(features, settings, name)
    detector.fit(NORMAL, epochs=1)
    return detector.score(ROWS)


def test_the_score_is_scikit_learns_mahalanobis_distance_a_feature(
    features: torch.Tensor, settings: Settings
) -> None:
    averaged = features.float().mean(dim=1).double().numpy()
    scaled = averaged / averaged[NORMAL].std(axis=0)
    expected = LedoitWolf().fit(scaled[NORMAL]).mahalanobis(scaled) / 8
    np.testing.assert_allclose(scores_of(features, settings()), expected)


def test_neither_name_nor_seed_matters(features: torch.Tensor, settings: Settings) -> None:
    plain = scores_of(features, settings())
    np.testing.assert_array_equal(scores_of(features, settings(seed=9)), plain)
    np.testing.assert_array_equal(scores_of(features, settings(), "judge/1"), plain)


def test_there_are_no_losses(features: torch.Tensor, settings: Settings) -> None:
    assert Gaussian(features, settings()).fit(NORMAL, epochs=5) == []


def test_each_fit_starts_anew(features: torch.Tensor, settings: Settings) -> None:
    detector = Gaussian(features, settings())
    detector.fit(ROWS, epochs=1)
    detector.fit(NORMAL, epochs=1)
    np.testing.assert_array_equal(detector.score(ROWS), scores_of(features, settings()))


@pytest.mark.parametrize("factor", [0.5, 8.0])
def test_the_scale_of_a_feature_does_not_matter(
    factor: float, features: torch.Tensor, settings: Settings
) -> None:
    stretched = features.clone()
    stretched[:, :, 2] *= factor
    np.testing.assert_allclose(scores_of(stretched, settings()), scores_of(features, settings()), rtol=1e-9)


def test_the_order_of_views_and_of_training_images_does_not_matter(
    features: torch.Tensor, settings: Settings
) -> None:
    detector = Gaussian(features.flip(1), settings())
    detector.fit(NORMAL[::-1].copy(), epochs=1)
    np.testing.assert_allclose(detector.score(ROWS), scores_of(features, settings()), rtol=1e-5)


@pytest.mark.parametrize("n_images", [2, 5])
def test_fewer_images_than_features_are_enough(
    n_images: int, features: torch.Tensor, settings: Settings
) -> None:
    detector = Gaussian(features, settings())
    detector.fit(np.arange(n_images), epochs=1)
    assert np.isfinite(detector.score(ROWS)).all()


def test_a_training_set_of_equal_images_tells_them_from_another(
    features: torch.Tensor, settings: Settings
) -> None:
    features[:36] = features[0]
    scores = scores_of(features, settings())
    assert np.isfinite(scores).all()
    assert scores[36:].min() > scores[:36].max()


def test_the_distance_is_never_negative(features: torch.Tensor, settings: Settings) -> None:
    assert (scores_of(features, settings()) >= 0).all()


def test_a_fresh_detector_shares_the_averaged_features(features: torch.Tensor, settings: Settings) -> None:
    detector = Gaussian(features, settings())
    assert detector.fresh("judge").averaged is detector.averaged


def test_a_wide_saved_detector_gives_identical_scores(settings: Settings, tmp_path: Path) -> None:
    # Above some 64 features, the solver's rounding depends on the layout of the factor.
    wide = torch.randn(40, 1, 300, generator=torch.Generator().manual_seed(0)).half()
    detector = Gaussian(wide, settings())
    detector.fit(NORMAL, epochs=1)
    write_model(tmp_path / "model.safetensors", detector.export())
    restored = Gaussian.restore(read_model(tmp_path / "model.safetensors"), wide)
    np.testing.assert_array_equal(restored.score(ROWS), detector.score(ROWS))


def test_streamed_features_give_identical_scores(features: torch.Tensor, settings: Settings) -> None:
    streamed = StreamedViews(features, features.device)
    np.testing.assert_array_equal(scores_of(streamed, settings()), scores_of(features, settings()))
