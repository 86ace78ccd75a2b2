"""The whole loop on a CUDA device: the same as on the CPU, and nothing in it waits (``make bench-gpu``)."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

from irp_kedro.core.judging import Judge
from irp_kedro.core.refinement import RefinementCycle
from irp_kedro.detectors.differnet import DifferNet
from irp_kedro.detectors.gaussian import Gaussian
from irp_kedro.detectors.patch_memory import PatchMemory
from irp_kedro.detectors.settings import DetectorSettings
from irp_kedro.features.device import with_halving
from irp_kedro.features.residence import StreamedViews
from irp_kedro.parameters import RefinementParameters, TrainingParameters

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device here"),
]

Settings = Callable[..., DetectorSettings]
CUDA = torch.device("cuda")
ROWS, NORMAL = np.arange(40), np.arange(36)
# Sums are taken in another order there; TF32 is off unless a user turns it on.
TOLERANCE = 1e-3


@pytest.fixture
def exact(settings: Settings) -> DetectorSettings:
    return settings(training=TrainingParameters(batch_views=32, learning_rate=2e-3, precision="float32"))


@pytest.fixture
def sync_debug_mode() -> Iterator[Callable[[str], None]]:
    yield torch.cuda.set_sync_debug_mode
    torch.cuda.set_sync_debug_mode("default")


def test_patch_scores_are_nearly_those_of_the_cpu(features: torch.Tensor, exact: DetectorSettings) -> None:
    scores = []
    for where in (features, features.to(CUDA)):
        detector = PatchMemory(where, exact)
        detector.fit(NORMAL, epochs=1)
        scores.append(detector.score(ROWS))
    # Distances are kept as float16, and products are bfloat16 on a GPU.
    np.testing.assert_allclose(scores[1], scores[0], atol=0.02 * np.ptp(scores[0]))


@pytest.mark.parametrize("kind", [DifferNet, Gaussian])
def test_scores_are_those_of_the_cpu(kind: Any, features: torch.Tensor, exact: DetectorSettings) -> None:
    scores = []
    for where in (features, features.to(CUDA), StreamedViews(features, CUDA)):
        detector = kind(where, exact)
        detector.fit(NORMAL, epochs=3)
        scores.append(detector.score(ROWS))
    for other in scores[1:]:
        np.testing.assert_allclose(other, scores[0], rtol=TOLERANCE)


@pytest.mark.parametrize("judge", ["differnet", "gaussian", "patch_memory"])
@pytest.mark.parametrize("scoring", ["in_sample", "held_out"])
def test_the_loop_removes_the_same_images_as_on_the_cpu(
    judge: str,
    scoring: str,
    features: torch.Tensor,
    exact: DetectorSettings,
    begin_loop: Callable[..., tuple[Judge, Iterator[RefinementCycle]]],
) -> None:
    rule = RefinementParameters(
        judge=judge, scoring=scoring, folds=3, pretrain_epochs=2, epochs_per_cycle=1, max_cycles=3
    )
    on_cpu, on_gpu = (
        list(begin_loop(rule, where, exact, epochs=6)[1]) for where in (features, features.to(CUDA))
    )
    assert [cycle.kept for cycle in on_gpu] == [cycle.kept for cycle in on_cpu]
    assert [cycle.stop for cycle in on_gpu] == [cycle.stop for cycle in on_cpu]


def test_a_batch_that_does_not_fit_is_halved_until_it_does() -> None:
    def make(size: int) -> torch.Tensor:
        return torch.zeros(size, 2**28, dtype=torch.uint8, device=CUDA)

    share = (torch.cuda.memory_reserved() + 2**30) / torch.cuda.get_device_properties(CUDA).total_memory
    torch.cuda.set_per_process_memory_fraction(share)
    try:
        made, size = with_halving(make, 16, "a test")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert size in {2, 4}  # 512 MB, or all of a GB
    assert len(made) == size


@pytest.mark.parametrize("streamed", [False, True])
def test_nothing_in_an_epoch_or_a_scoring_waits_for_the_device(
    streamed: bool,
    features: torch.Tensor,
    exact: DetectorSettings,
    sync_debug_mode: Callable[[str], None],
) -> None:
    detector = DifferNet(StreamedViews(features, CUDA) if streamed else features.to(CUDA), exact)
    detector.fit(NORMAL, epochs=3)  # the first steps load kernels, the next is recorded
    assert detector._captured._graph is not None
    sync_debug_mode("error")
    detector._train_epoch(NORMAL)
    detector.score_there(ROWS)
