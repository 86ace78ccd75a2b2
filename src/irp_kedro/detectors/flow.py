"""DifferNet's normalizing flow (paper, Eq. 3): affine coupling blocks with soft clamping.

FrEIA builds the blocks and walks them backwards. Forwards, where training spends its time, they are walked
here: the permutation by one gather each way instead of a scattered write in the backward pass, and all but the
matrix products in full precision under autocast (docs/PERFORMANCE.md has what that gives).
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from FrEIA.framework import InputNode, Node, OutputNode, ReversibleGraphNet
from FrEIA.modules import GLOWCouplingBlock, PermuteRandom
from torch import Tensor, nn

from irp_kedro.parameters import FlowParameters

ATAN_SHARE = 0.636  # FrEIA's and DifferNet's 2 / pi: what is clamped stays just within one


class NormalizingFlow(nn.Module):
    """Bijection between features and a standard normal latent space.

    Args:
        n_features: width of a feature vector.
        shape: number of blocks, width and depth of their networks, clamp of the scales.
        seed: initial weights and permutations; global random state is left as it was.
        weights: those of a flow of this shape, taken as they are; none are drawn then, which for the paper's
            flow is most of what making it takes.
    """

    def __init__(
        self, n_features: int, shape: FlowParameters, seed: int, weights: Mapping[str, Tensor] | None = None
    ) -> None:
        super().__init__()
        with _seeded(seed), nullcontext() if weights is None else torch.device("meta"):
            self.graph = _build(n_features, shape, seed)
        if weights is not None:
            self.load_state_dict(weights, assign=True)
        modules = [node.module for node in self.graph.node_list if node.module is not None]
        self._blocks = list(zip(modules[::2], modules[1::2], strict=True))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return latents (n, n_features) and log |det Jacobian| (n,) of features (n, n_features)."""
        # shape[0], not len(): an exported graph takes any number of vectors.
        values, log_determinant = features, features.new_zeros(features.shape[0])
        for permute, coupling in self._blocks:
            values = _Permuted.apply(values, permute.perm, permute.perm_inv)
            first, second = values.split([coupling.split_len1, coupling.split_len2], dim=1)
            first, grown = _couple(first, coupling.subnet2(second), coupling.clamp)
            second, grown_too = _couple(second, coupling.subnet1(first), coupling.clamp)
            values = torch.cat([first, second], dim=1)
            log_determinant = log_determinant + grown + grown_too
        return values, log_determinant

    def inverse(self, latents: Tensor) -> Tensor:
        """Return the features (n, n_features) that map to ``latents``."""
        features: Tensor = self.graph(latents, rev=True)[0]
        return features


def negative_log_likelihood(latents: Tensor, log_determinant: Tensor) -> Tensor:
    """Return -log p (n,) without its constant, nats a feature; may be negative (Eq. 1)."""
    return (0.5 * latents.square().sum(dim=1) - log_determinant) / latents.shape[1]


def latent_energy(latents: Tensor) -> Tensor:
    """Return mean z² (n,), never negative: the score DifferNet publishes.

    >>> latent_energy(torch.tensor([[1.0, -1.0]]))
    tensor([1.])
    """
    return latents.square().mean(dim=1)


class _Permuted(torch.autograd.Function):
    """Columns in another order; the gradient is the inverse permutation's gather."""

    @staticmethod
    def forward(context: Any, values: Tensor, order: Tensor, back: Tensor) -> Tensor:  # noqa: ANN401
        context.back = back
        return values.gather(1, order.expand(values.shape[0], -1))

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401
        return gradient.gather(1, context.back.expand(gradient.shape[0], -1)), None, None


def _couple(values: Tensor, coefficients: Tensor, clamp: float) -> tuple[Tensor, Tensor]:
    """Return exp(s) values + t and its log-determinant (n,), s and t being the halves of the coefficients."""
    stretch, shift = coefficients.to(values.dtype).split(values.shape[1], dim=1)
    stretch = (clamp * ATAN_SHARE) * stretch.atan()
    return torch.addcmul(shift, stretch.exp(), values), stretch.sum(dim=1)


def _build(n_features: int, shape: FlowParameters, seed: int) -> ReversibleGraphNet:
    nodes = [InputNode(n_features, name="features")]
    for block in range(shape.blocks):
        permute = {"seed": seed % 2**31 + block}
        nodes.append(Node(nodes[-1], PermuteRandom, permute, name=f"permute_{block}"))
        coupling = {"clamp": shape.clamp, "subnet_constructor": _subnet(shape)}
        nodes.append(Node(nodes[-1], GLOWCouplingBlock, coupling, name=f"coupling_{block}"))
    nodes.append(OutputNode(nodes[-1], name="latents"))
    return ReversibleGraphNet(nodes, verbose=False)


def _subnet(shape: FlowParameters) -> Callable[[int, int], nn.Sequential]:
    def construct(n_in: int, n_out: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        width = n_in
        for _ in range(shape.layers):
            layers += [nn.Linear(width, shape.hidden), nn.ReLU()]
            width = shape.hidden
        return nn.Sequential(*layers, nn.Linear(width, n_out))

    return construct


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    # FrEIA's PermuteRandom reseeds numpy's global generator, and layers initialise from torch's.
    numpy_state = np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would reseed every GPU as well, and nothing here restores those.
        torch.default_generator.manual_seed(seed)
        try:
            yield
        finally:
            np.random.set_state(numpy_state)  # noqa: NPY002
