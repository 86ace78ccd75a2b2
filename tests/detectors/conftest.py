"""Small settings and an easy set, for every detector."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from irp_kedro.detectors.settings import DetectorSettings
from irp_kedro.parameters import FlowParameters, TrainingParameters, ViewParameters

N_NORMAL, N_ODD = 36, 4


@pytest.fixture
def settings() -> Callable[..., DetectorSettings]:
    def build(**changes: Any) -> DetectorSettings:
        tiny: dict[str, Any] = {
            "flow": FlowParameters(blocks=2, hidden=16, layers=1),
            "training": TrainingParameters(batch_views=32, learning_rate=2e-3),
            "views": ViewParameters(bank=4, train=2, score=4),
            "score": "latent_energy",
            "seed": 0,
        }
        return DetectorSettings(**{**tiny, **changes})

    return build


@pytest.fixture
def features() -> torch.Tensor:
    """(40 images, 4 views, 8 features): the last four lie far from the others in half of the features."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(N_NORMAL + N_ODD, 4, 8, generator=generator)
    features[N_NORMAL:, :, :4] += 4.0
    return features.half()
