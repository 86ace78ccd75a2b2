"""Nothing in an epoch or a cycle waits for the GPU, shown without one: the loop runs on fake CUDA tensors.

A fake tensor has a device, a shape and no values, so whatever would read a value fails. What makes the host
wait without reading one, a copy between host and device that does not run on its own, is refused by the watch
below. The one door through which values come back, ``download``, is replaced by a counter. torch's autograd
wants a real CUDA device for its backward pass; that pass alone is shown on meta tensors, without values too.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode

from irp_kedro import judges
from irp_kedro.core.judging import HeldOut, InSample, Judge
from irp_kedro.core.refinement import RefinementCycle
from irp_kedro.detectors import differnet, gaussian, patch_memory
from irp_kedro.detectors.differnet import DifferNet
from irp_kedro.detectors.flow import NormalizingFlow, negative_log_likelihood
from irp_kedro.detectors.gaussian import Gaussian
from irp_kedro.detectors.patch_memory import PatchMemory
from irp_kedro.detectors.settings import DetectorSettings
from irp_kedro.parameters import RefinementParameters, TrainingParameters

Settings = Callable[..., DetectorSettings]
N_IMAGES = 40
PINS = {torch.ops.aten._pin_memory.default, torch.ops.aten.pin_memory.default}
COPIES = {torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default}


class Watch(TorchDispatchMode):
    """Refuses every copy between host and device for which the host would wait."""

    building = False  # initial weights are made on the host and brought to the device, before any epoch

    def __init__(self) -> None:
        super().__init__()
        self.pinned: list[torch.Tensor] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in PINS:  # fake mode does not know them
            self.pinned.append(args[0].clone())
            return self.pinned[-1]
        result = func(*args, **(kwargs or {}))
        if func in COPIES and not Watch.building:
            origin = args[1] if func is torch.ops.aten.copy_.default else args[0]
            goes_on = (kwargs or {}).get("non_blocking", len(args) > 2 and args[2])
            # From memory that is not pinned, CUDA copies before it returns, whatever it is asked.
            goes_on = goes_on and any(origin is pinned for pinned in self.pinned)
            if origin.device.type != result.device.type and not goes_on:
                raise AssertionError(f"the host waits for a copy from {origin.device} to {result.device}")
        return result


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes of what came back, in order; made-up values stand in for what a fake tensor does not have."""
    shapes: list[tuple[int, ...]] = []
    rng = np.random.default_rng(0)

    def download(values: torch.Tensor) -> np.ndarray:
        assert values.device.type == "cuda"
        shapes.append(tuple(values.shape))
        return rng.random(tuple(values.shape)) + 1.0

    for module in (differnet, gaussian, patch_memory, judges):
        monkeypatch.setattr(module, "download", download)
    return shapes


@pytest.fixture(autouse=True)
def flow_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flows are built from real weights and brought to the fake GPU; a backward pass leaves gradients there."""
    flows: list[NormalizingFlow] = []

    def build(*arguments: Any) -> NormalizingFlow:
        with unset_fake_temporarily():
            flow = NormalizingFlow(*arguments)
        monkeypatch.setattr(Watch, "building", True)
        flow.to("cuda")
        monkeypatch.setattr(Watch, "building", False)
        monkeypatch.setattr(
            flow, "to", lambda device: flow, raising=False
        )  # what is fake cannot be moved again
        flows.append(flow)
        return flow

    def backward(loss: torch.Tensor) -> None:
        assert loss.requires_grad
        for parameter in flows[-1].parameters():
            parameter.grad = torch.empty_like(parameter) if parameter.requires_grad else None

    monkeypatch.setattr(differnet, "NormalizingFlow", build)
    monkeypatch.setattr(torch.Tensor, "backward", backward)


@pytest.fixture(autouse=True)
def known_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is who is read off the features once, before any cycle."""

    def fingerprints(features: torch.Tensor) -> torch.Tensor:
        return torch.empty(len(features), dtype=torch.int64, device=features.device)

    monkeypatch.setattr(patch_memory, "fingerprints", fingerprints)


@pytest.fixture
def features() -> Iterator[torch.Tensor]:
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield torch.empty(N_IMAGES, 4, 8, dtype=torch.float16, device="cuda")


@pytest.fixture
def on_gpu(settings: Settings) -> DetectorSettings:
    # Whether a GPU multiplies bfloat16 can only be asked of one.
    return settings(training=TrainingParameters(batch_views=32, precision="float32"))


@pytest.mark.parametrize("wait", ["item", "tolist", "cpu", "nonzero", "numpy", "bool"])
def test_whatever_waits_is_noticed(wait: str, features: torch.Tensor) -> None:
    waits: dict[str, Callable[[], Any]] = {
        "item": lambda: features.sum().item(),
        "tolist": features.tolist,
        "cpu": features.cpu,
        "nonzero": lambda: features[features[:, 0, 0] > 0],
        "numpy": features.numpy,
        "bool": lambda: bool((features > 0).any()),
    }
    with pytest.raises(Exception, match=r"."), Watch():
        waits[wait]()


def test_an_index_that_the_host_waits_for_is_noticed(features: torch.Tensor) -> None:
    for copy in ({}, {"non_blocking": True}):  # neither of the two is from pinned memory
        with pytest.raises(AssertionError, match="the host waits for a copy from cpu to cuda"), Watch():
            torch.as_tensor(np.arange(3)).to(features.device, **copy)


def test_losses_come_back_once_however_many_epochs_are_trained(
    features: torch.Tensor, on_gpu: DetectorSettings, downloads: list[tuple[int, ...]]
) -> None:
    detector = DifferNet(features, on_gpu)
    with Watch():
        losses = detector.fit(np.arange(30), epochs=3)
    assert len(losses) == 3
    assert downloads == [(3,)]


@pytest.mark.parametrize("kind", [DifferNet, Gaussian, PatchMemory])
def test_scores_come_back_once(
    kind: Any, features: torch.Tensor, on_gpu: DetectorSettings, downloads: list[tuple[int, ...]]
) -> None:
    with Watch():
        detector = kind(features, on_gpu)
        detector.fit(np.arange(30), epochs=1)
        downloads.clear()
        scores = detector.score(np.arange(N_IMAGES))
    assert scores.shape == (N_IMAGES,)
    assert downloads == [(N_IMAGES,)]


def test_what_a_witness_says_comes_back_once(
    features: torch.Tensor, on_gpu: DetectorSettings, downloads: list[tuple[int, ...]]
) -> None:
    with Watch():
        detector = PatchMemory(features, on_gpu)
        detector.fit(np.arange(30), epochs=1)
        downloads.clear()
        said = detector.resemblance(np.arange(10), np.arange(10, 14))
    assert [(among.shape, others.shape) for among, others in said] == 2 * [((10,), (4,))]
    assert downloads == [(2, 14)]


def test_how_near_images_are_to_a_group_comes_back_once(
    features: torch.Tensor, on_gpu: DetectorSettings, downloads: list[tuple[int, ...]]
) -> None:
    with Watch():
        near = PatchMemory(features, on_gpu).company(np.arange(10), np.arange(8, 14), 7)
    assert near.shape == (6,)
    assert downloads == [(6,)]


@pytest.mark.parametrize("scoring", ["in_sample", "held_out"])
@pytest.mark.parametrize("judge", ["differnet", "gaussian"])
def test_a_cycle_brings_back_its_scores_once_and_its_losses_once(
    judge: str,
    scoring: str,
    features: torch.Tensor,
    on_gpu: DetectorSettings,
    downloads: list[tuple[int, ...]],
    *,
    begin_loop: Callable[..., tuple[Judge, Iterator[RefinementCycle]]],
) -> None:
    rule = RefinementParameters(
        judge=judge,
        scoring=scoring,
        threshold="mad",
        mad_factor=0.5,
        pretrain_epochs=2,
        epochs_per_cycle=1,
        max_cycles=3,
        restore=False,
        reference=1.0,
        patience=2,
        folds=3,
    )
    with Watch():
        decides, cycles = begin_loop(rule, features, on_gpu, epochs=5)
        next(cycles)
        assert downloads == [(2,)]  # the losses of two epochs
        downloads.clear()
        record = next(cycles)
    assert len(record.kept) < N_IMAGES
    judges_losses = [(rule.judge_epochs,)] * 3 if (judge, scoring) == ("differnet", "held_out") else []
    assert downloads == [*judges_losses, (N_IMAGES,), (1,)]
    assert isinstance(decides, InSample | HeldOut) or scoring == "in_sample"


@pytest.fixture
def first_cycle(
    features: torch.Tensor,
    on_gpu: DetectorSettings,
    downloads: list[tuple[int, ...]],
    begin_loop: Callable[..., tuple[Judge, Iterator[RefinementCycle]]],
) -> Callable[[RefinementParameters], RefinementCycle]:
    """Walk the first cycle of a loop under watch; what came back before it is forgotten."""

    def walk(rule: RefinementParameters) -> RefinementCycle:
        with Watch():
            _, cycles = begin_loop(rule, features, on_gpu, epochs=5)
            next(cycles)
            downloads.clear()
            return next(cycles)

    return walk


def test_a_council_brings_back_the_scores_of_each_judge_once_and_twice_where_it_takes_a_reference(
    downloads: list[tuple[int, ...]], first_cycle: Callable[[RefinementParameters], RefinementCycle]
) -> None:
    rule = RefinementParameters(
        judge=("patch_memory", "gaussian"),
        threshold="false_discovery",
        reference=0.75,
        restore=True,
        max_cycles=3,
        patience=2,
        folds=3,
    )
    first_cycle(rule)
    outside = N_IMAGES // 4  # the first reference, which each of the Gaussian's folds scores too
    assert downloads == [(N_IMAGES,), (N_IMAGES,), (N_IMAGES,), (N_IMAGES - outside + 3 * outside,)]


def test_where_images_are_in_doubt_losses_come_back_once_an_epoch(
    downloads: list[tuple[int, ...]], first_cycle: Callable[[RefinementParameters], RefinementCycle]
) -> None:
    rule = RefinementParameters(
        judge=("gaussian",), threshold="mad", mad_factor=2.0, doubt=0.1, reference=1.0, max_cycles=1, folds=3
    )
    record = first_cycle(rule)
    assert record.doubtful
    assert len(record.losses) > 5
    assert downloads == [(N_IMAGES,), *[(1,)] * len(record.losses), (len(record.kept),)]


def test_the_backward_pass_reads_no_value(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    flow = NormalizingFlow(8, settings().flow, seed=0).to("meta")
    negative_log_likelihood(*flow(torch.empty(32, 8, device="meta"))).mean().backward()
    trained = [parameter for parameter in flow.parameters() if parameter.requires_grad]
    assert all(parameter.grad is not None and parameter.grad.is_meta for parameter in trained)
