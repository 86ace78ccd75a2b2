from collections.abc import Callable

import numpy as np
import pytest
import torch

from irp_kedro.detectors.differnet import DifferNet
from irp_kedro.detectors.parallel import fit_in_processes
from irp_kedro.detectors.settings import DetectorSettings
from irp_kedro.features.bank import FeatureBank
from irp_kedro.parameters import TrainingParameters

Settings = Callable[..., DetectorSettings]
ROWS, NORMAL = np.arange(40), np.arange(36)
DIGESTS = [f"{number:032x}" for number in range(40)]


@pytest.fixture
def bank(features: torch.Tensor, keep_features: Callable[..., FeatureBank]) -> FeatureBank:
    return keep_features(DIGESTS, features.numpy())


def test_two_processes_train_the_detector_that_one_trains(
    features: torch.Tensor, settings: Settings, bank: FeatureBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 72 vectors an epoch in batches of 31: the last batch of 10 is shared as well.
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    exact = settings(training=TrainingParameters(batch_views=31, learning_rate=2e-3, precision="float32"))
    alone, together = DifferNet(features, exact), DifferNet(features, exact)
    schedule = [NORMAL[:30], NORMAL[5:]]
    expected = [loss for rows in (NORMAL, *schedule) for loss in alone.fit(rows, epochs=1)]
    losses = together.fit(NORMAL, epochs=1)  # the processes go on from here
    losses += fit_in_processes(together, bank, DIGESTS, schedule, processes=2)
    np.testing.assert_allclose(losses, expected, rtol=1e-5)
    np.testing.assert_allclose(together.score(ROWS), alone.score(ROWS), rtol=1e-4)
    assert together.epochs_trained == 3
