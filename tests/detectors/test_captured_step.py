"""On a CPU nothing is recorded; on a GPU what is played back is what the steps would have been."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from irp_kedro.detectors.captured_step import WARMING_UP, CapturedStep
from irp_kedro.detectors.differnet import DifferNet
from irp_kedro.detectors.settings import DetectorSettings
from irp_kedro.parameters import TrainingParameters

NORMAL, ROWS = np.arange(36), np.arange(40)
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device here")


def test_a_cpu_records_nothing() -> None:
    assert not CapturedStep.possible(torch.device("cpu"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_a_gpu_that_is_not_there_records_nothing() -> None:
    assert not CapturedStep.possible(torch.device("cuda"))


@pytest.fixture
def trained(
    features: torch.Tensor, settings: Callable[..., DetectorSettings], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., DifferNet]]:
    def train(*, captured: bool, precision: str) -> DifferNet:
        monkeypatch.setattr(CapturedStep, "possible", staticmethod(lambda _: captured))
        training = TrainingParameters(batch_views=16, learning_rate=2e-3, precision=precision)
        detector = DifferNet(features.cuda(), settings(training=training))
        detector.fit(NORMAL, epochs=4)  # 4 whole batches and a rest in each
        return detector

    yield train
    monkeypatch.undo()


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_recorded_training_is_the_training(precision: str, trained: Callable[..., DifferNet]) -> None:
    recorded, taken = (trained(captured=captured, precision=precision) for captured in (True, False))
    assert recorded._captured._graph is not None
    assert taken._captured._graph is None
    np.testing.assert_array_equal(recorded.score(ROWS), taken.score(ROWS))


@pytest.mark.gpu
@needs_gpu
def test_a_training_goes_on_from_a_state_taken_back(trained: Callable[..., DifferNet]) -> None:
    whole, part = (trained(captured=True, precision="float32") for _ in range(2))
    part.load_state(whole.state())
    for detector in (whole, part):
        detector.fit(NORMAL, epochs=2)
    np.testing.assert_array_equal(part.score(ROWS), whole.score(ROWS))


@pytest.mark.gpu
@needs_gpu
def test_a_step_that_does_not_fit_beside_what_is_there_goes_on_without_recording() -> None:
    def step(batch: torch.Tensor) -> torch.Tensor:
        if torch.cuda.is_current_stream_capturing():
            raise torch.OutOfMemoryError
        return batch.sum()

    captured = CapturedStep()
    batch = torch.ones(4, 2, device="cuda")
    assert [captured.take(step, batch).item() for _ in range(WARMING_UP + 2)] == [8.0] * (WARMING_UP + 2)
