"""Small settings and an easy set, for every detector."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from irp_kedro.core.detector import BlindSet
from irp_kedro.core.judging import Judge
from irp_kedro.core.refinement import RefinementCycle, plan_for, refine
from irp_kedro.detectors.differnet import DifferNet
from irp_kedro.detectors.settings import DetectorSettings
from irp_kedro.judges import LoopSettings, build_judge
from irp_kedro.parameters import FlowParameters, RefinementParameters, TrainingParameters, ViewParameters

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


@pytest.fixture
def begin_loop() -> Callable[..., tuple[Judge, Iterator[RefinementCycle]]]:
    """Gives the judge that a rule asks for, and the loop of a flow before its first cycle."""

    def begin(
        rule: RefinementParameters, features: torch.Tensor, settings: DetectorSettings, *, epochs: int
    ) -> tuple[Judge, Iterator[RefinementCycle]]:
        loop = LoopSettings(
            detector="differnet",
            refinement=rule,
            training=settings.training,
            flow=settings.flow,
            views=settings.views,
            seed=0,
            device=str(features.device),
        )
        names = tuple(f"{number:032x}" for number in range(len(features)))
        detector = DifferNet(features, settings)
        judge = build_judge(detector, lambda _: features, loop)
        plan = plan_for("iterative_refinement", rule, epochs)
        return judge, refine(detector, judge, BlindSet(names, names), plan)

    return begin
