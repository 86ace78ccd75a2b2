from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from irp_kedro.datasets.model import read_model, write_model
from irp_kedro.detectors.neighbourhood import IsolationForest, LocalOutlierFactor, PooledOutliers
from irp_kedro.detectors.settings import DetectorSettings

Settings = Callable[..., DetectorSettings]
ROWS, NORMAL = np.arange(40), np.arange(36)

both = pytest.mark.parametrize("kind", [IsolationForest, LocalOutlierFactor])


def scores_of(
    kind: type[PooledOutliers],
    features: torch.Tensor,
    settings: DetectorSettings,
    name: str = "detector",
    rows: np.ndarray = NORMAL,
) -> np.ndarray:
    detector = kind(features, settings, name)
    detector.fit(rows, epochs=1)
    return detector.score(ROWS)


@both
def test_images_far_from_the_others_score_highest(
    kind: type[PooledOutliers], features: torch.Tensor, settings: Settings
) -> None:
    scores = scores_of(kind, features, settings())
    assert scores[36:].min() > scores[:36].max()


@both
def test_scores_are_above_zero_so_that_they_have_logarithms(
    kind: type[PooledOutliers], features: torch.Tensor, settings: Settings
) -> None:
    assert (scores_of(kind, features, settings()) > 0).all()


@both
def test_views_count_by_their_mean(
    kind: type[PooledOutliers], features: torch.Tensor, settings: Settings
) -> None:
    averaged = features.float().mean(dim=1, keepdim=True)
    np.testing.assert_array_equal(scores_of(kind, averaged, settings()), scores_of(kind, features, settings()))


@both
def test_each_fit_starts_anew_and_has_no_losses(
    kind: type[PooledOutliers], features: torch.Tensor, settings: Settings
) -> None:
    detector = kind(features, settings())
    assert detector.fit(ROWS, epochs=5) == []
    detector.fit(NORMAL, epochs=1)
    np.testing.assert_array_equal(detector.score(ROWS), scores_of(kind, features, settings()))


@both
def test_nobody_scores_before_a_fit(
    kind: type[PooledOutliers], features: torch.Tensor, settings: Settings
) -> None:
    fitted = kind(features, settings())
    fitted.fit(NORMAL, epochs=1)
    with pytest.raises(RuntimeError, match="only after fit"):
        fitted.fresh("judge").score(ROWS)
    with pytest.raises(RuntimeError, match="only after fit"):
        kind(features, settings()).export()


@both
def test_a_saved_detector_fits_again_to_the_same_scores(
    kind: type[PooledOutliers], features: torch.Tensor, settings: Settings, tmp_path: Path
) -> None:
    detector = kind(features, settings(seed=3), "judge/1")
    detector.fit(NORMAL, epochs=1)
    write_model(tmp_path / "model.safetensors", detector.export())
    trained = read_model(tmp_path / "model.safetensors")
    assert trained.detector == kind.registered
    restored = kind.restore(trained, features.flip(0))
    np.testing.assert_array_equal(restored.score(ROWS[::-1].copy()), detector.score(ROWS))


@both
def test_training_goes_on_from_a_state(
    kind: type[PooledOutliers], features: torch.Tensor, settings: Settings
) -> None:
    detector = kind(features, settings())
    assert detector.state() == {}
    detector.fit(NORMAL, epochs=1)
    other = kind(features, settings())
    other.load_state(detector.state())
    np.testing.assert_array_equal(other.score(ROWS), detector.score(ROWS))


def test_a_forest_is_drawn_from_the_seed_and_the_name(features: torch.Tensor, settings: Settings) -> None:
    forest = scores_of(IsolationForest, features, settings())
    np.testing.assert_array_equal(scores_of(IsolationForest, features, settings()), forest)
    assert (scores_of(IsolationForest, features, settings(seed=1)) != forest).any()
    assert (scores_of(IsolationForest, features, settings(), "judge/1") != forest).any()


@pytest.mark.parametrize("n_images", [2, 5])
def test_fewer_images_than_neighbours_are_enough(
    n_images: int, features: torch.Tensor, settings: Settings
) -> None:
    assert n_images < LocalOutlierFactor.n_neighbours
    scores = scores_of(LocalOutlierFactor, features, settings(), rows=NORMAL[:n_images])
    assert np.isfinite(scores).all()
    assert scores[36:].min() > scores[:n_images].max()
