import random
from typing import Any

import numpy as np
import pytest
import torch
from torch.distributions import Normal

from irp_kedro.detectors.flow import NormalizingFlow, latent_energy, negative_log_likelihood
from irp_kedro.parameters import FlowParameters

SHAPES = [
    FlowParameters(blocks=2, hidden=16, layers=1),
    FlowParameters(blocks=2, hidden=8, layers=3, clamp=1.9),
    FlowParameters(blocks=1, hidden=4, layers=2, clamp=5.0),
]
TINY = SHAPES[0]


def exact_flow(shape: FlowParameters = TINY, *, width: int = 6, seed: int = 3) -> NormalizingFlow:
    return NormalizingFlow(width, shape, seed).double()


def sample(n: int, *, width: int = 6) -> torch.Tensor:
    return 2 * torch.randn(n, width, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("width", [2, 6, 7])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_inverse_undoes_the_flow(shape: FlowParameters, width: int) -> None:
    flow, features = exact_flow(shape, width=width), sample(32, width=width)
    latents, _ = flow(features)
    torch.testing.assert_close(flow.inverse(latents), features, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("width", [2, 6, 7])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_log_determinant_is_that_of_autograds_jacobian(shape: FlowParameters, width: int) -> None:
    flow, features = exact_flow(shape, width=width), sample(4, width=width)
    _, log_determinant = flow(features)
    for vector, found in zip(features, log_determinant, strict=True):
        jacobian = torch.autograd.functional.jacobian(lambda x: flow(x[None])[0][0], vector)
        torch.testing.assert_close(found, torch.linalg.slogdet(jacobian).logabsdet)


def test_latents_have_the_shape_of_features_and_one_log_determinant_each() -> None:
    latents, log_determinant = exact_flow()(sample(5))
    assert latents.shape == (5, 6)
    assert log_determinant.shape == (5,)


def test_every_vector_is_mapped_on_its_own() -> None:
    flow, features = exact_flow(), sample(8)
    together, _ = flow(features)
    alone = torch.cat([flow(vector[None])[0] for vector in features])
    torch.testing.assert_close(together, alone)


def test_gradients_reach_every_parameter() -> None:
    flow = exact_flow()
    negative_log_likelihood(*flow(sample(64))).mean().backward()
    trained = {name: value for name, value in flow.named_parameters() if value.requires_grad}
    assert len(trained) == 2 * 2 * 2 * 2  # blocks, networks a block, layers a network, weight and bias
    assert [name for name, value in trained.items() if value.grad is None or not value.grad.any()] == []


def test_the_same_seed_builds_the_same_flow_and_another_seed_another() -> None:
    features = sample(4)
    first, again, other = (exact_flow(seed=seed)(features)[0] for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_63_bit_seed_is_welcome() -> None:
    flow = NormalizingFlow(6, TINY, seed=2**63 - 1)
    assert flow(torch.zeros(1, 6))[0].isfinite().all()


def test_a_flow_of_given_weights_draws_none_and_can_be_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    trained = NormalizingFlow(6, TINY, seed=3)
    drawn: list[torch.device] = []
    draw = torch.nn.init.kaiming_uniform_

    def watched(tensor: torch.Tensor, *arguments: Any, **named: Any) -> torch.Tensor:
        drawn.append(tensor.device)
        return draw(tensor, *arguments, **named)

    monkeypatch.setattr(torch.nn.init, "kaiming_uniform_", watched)
    given = NormalizingFlow(6, TINY, seed=4, weights=trained.state_dict())
    assert {device.type for device in drawn} == {"meta"}  # nothing behind it to fill
    features = sample(4).float()
    assert torch.equal(given(features)[0], trained(features)[0])
    torch.testing.assert_close(given.inverse(trained(features)[0]), features, atol=1e-4, rtol=1e-4)
    wanted = {name for name, value in trained.named_parameters() if value.requires_grad}
    assert {name for name, value in given.named_parameters() if value.requires_grad} == wanted


@pytest.mark.parametrize("layers", [1, 0], ids=["built", "failed half-way"])
def test_building_leaves_every_global_generator_as_it_was(layers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seeded_devices: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded_devices.append)
    if layers == 0:
        monkeypatch.setattr("irp_kedro.detectors.flow.OutputNode", None)
    numpy_before: Any = np.random.get_state()  # noqa: NPY002 - the state that must not change
    torch_before, python_before = torch.get_rng_state(), random.getstate()
    try:
        NormalizingFlow(6, TINY, seed=1)
    except TypeError:
        assert layers == 0
    numpy_after: Any = np.random.get_state()  # noqa: NPY002
    assert numpy_after[2:] == numpy_before[2:]
    np.testing.assert_array_equal(numpy_after[1], numpy_before[1])
    assert torch.equal(torch.get_rng_state(), torch_before)
    assert random.getstate() == python_before
    assert seeded_devices == []


def test_the_negative_log_likelihood_is_that_of_the_change_of_variables() -> None:
    latents, log_determinant = exact_flow()(sample(16))
    log_density = Normal(0.0, 1.0).log_prob(latents).sum(dim=1) + log_determinant
    constant = 0.5 * np.log(2 * np.pi)  # nats a feature
    expected = -log_density / 6 - constant
    torch.testing.assert_close(negative_log_likelihood(latents, log_determinant), expected)


def test_the_latent_energy_is_the_mean_square() -> None:
    latents = torch.tensor([[1.0, -1.0], [0.0, 0.0], [3.0, 1.0]])
    assert latent_energy(latents).tolist() == [1.0, 0.0, 5.0]


def test_the_clamp_bounds_how_far_one_block_stretches() -> None:
    flow = exact_flow(FlowParameters(blocks=1, hidden=4, layers=1, clamp=0.5))
    _, log_determinant = flow(1e6 * sample(64))
    # Each of 6 features is stretched by at most exp(0.5); FrEIA's clamp is 0.636 atan, just below 1.
    assert log_determinant.abs().max() <= 6 * 0.5


class Energy(torch.nn.Module):
    """What a score is made of, as a graph of its own."""

    def __init__(self, flow: NormalizingFlow) -> None:
        super().__init__()
        self.flow = flow

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return latent_energy(self.flow(features)[0])


def test_an_exported_flow_takes_any_number_of_vectors() -> None:
    graph, n_vectors = Energy(exact_flow()).eval().requires_grad_(False), torch.export.Dim("n_vectors")
    exported = torch.export.export(graph, (sample(4),), dynamic_shapes=({0: n_vectors},)).module()
    torch.testing.assert_close(exported(sample(7)), graph(sample(7)))
