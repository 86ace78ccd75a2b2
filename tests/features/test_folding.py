import pytest
import timm
import torch
from torch import nn

from irp_kedro.features.folding import fold_batch_norms


def settled(network: nn.Module) -> nn.Module:
    """A network as after training: statistics, scales and offsets that are not those it starts with."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for value, low in ((module.running_var, 0.5), (module.weight, 0.5)):
                value.data.uniform_(low, 2.0, generator=generator)
            for value in (module.running_mean, module.bias):
                value.data.normal_(generator=generator)
    return network.eval().requires_grad_(False)


class Shared(nn.Module):
    """One convolution under two normalisations, and one that runs twice."""

    def __init__(self) -> None:
        super().__init__()
        self.once, self.twice = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1)
        self.first, self.second, self.third = nn.BatchNorm2d(4), nn.BatchNorm2d(4), nn.BatchNorm2d(4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        shared = self.once(images)
        twice = self.twice(self.twice(self.first(shared) + self.second(shared)))
        return self.third(twice)


def count(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "resnet18"])
def test_a_folded_network_gives_what_it_gave(name: str) -> None:
    network = settled(timm.create_model(name, pretrained=False, features_only=True))
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    before = network(images)
    assert fold_batch_norms(network, images[:1]) > 10
    assert count(network) == 0
    for folded, plain in zip(network(images), before, strict=True):
        torch.testing.assert_close(folded, plain, rtol=1e-3, atol=1e-3 * float(plain.abs().max()))


def test_a_convolution_that_serves_two_layers_or_runs_twice_is_left_alone() -> None:
    network, images = settled(Shared()), torch.rand(2, 3, 8, 8)
    before = network(images)
    fold_batch_norms(network, images)
    assert count(network) == 3
    assert torch.equal(network(images), before)


def test_a_network_without_normalisation_stays_as_it_is() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).eval()
    assert fold_batch_norms(network, torch.rand(1, 3, 8, 8)) == 0
