"""Take out of a frozen network what training alone needs: batch normalisation joins the convolution."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d


def fold_batch_norms(network: nn.Module, example: Tensor) -> int:
    """Fold each batch normalisation into the convolution whose output it takes; return how many.

    One pass of ``example`` shows which convolution that is, so it works for any way a network is put together.
    An activation that a normalisation layer carries with it, as timm's do, stays.

    Args:
        network: frozen, in evaluation mode; changed in place.
        example: images (n, 3, side, side) that the network takes.
    """
    pairs = _pairs(network, example)
    for convolution, norm in pairs:
        if norm.running_mean is None or norm.running_var is None:
            continue
        weight, bias = fuse_conv_bn_weights(
            convolution.weight,
            convolution.bias,
            norm.running_mean,
            norm.running_var,
            norm.eps,
            norm.weight,
            norm.bias,
        )
        convolution.weight, convolution.bias = weight.requires_grad_(False), bias.requires_grad_(False)
        _replace(network, norm, getattr(norm, "act", None) or nn.Identity())
    return len(pairs)


def _pairs(network: nn.Module, example: Tensor) -> list[tuple[nn.Conv2d, BatchNorm]]:
    made: dict[int, nn.Conv2d] = {}
    kept: list[Tensor] = []  # so that no address is used twice
    pairs: list[tuple[nn.Conv2d, BatchNorm]] = []
    taken: dict[int, int] = {}
    ran: dict[int, int] = {}

    def note_convolution(module: nn.Module, inputs: Any, output: Tensor) -> None:  # noqa: ANN401
        if isinstance(module, nn.Conv2d):
            made[id(output)] = module
            kept.append(output)
            ran[id(module)] = ran.get(id(module), 0) + 1

    def note_norm(module: nn.Module, inputs: Any) -> None:  # noqa: ANN401
        if isinstance(module, BatchNorm) and id(inputs[0]) in made:
            convolution = made[id(inputs[0])]
            pairs.append((convolution, module))
            taken[id(convolution)] = taken.get(id(convolution), 0) + 1

    hooks = [module.register_forward_hook(note_convolution) for module in network.modules()]
    hooks += [module.register_forward_pre_hook(note_norm) for module in network.modules()]
    with torch.inference_mode():
        network(example)
    for hook in hooks:
        hook.remove()
    # A convolution that ran twice, or whose output two layers take, is left as it is.
    return [pair for pair in pairs if taken[id(pair[0])] == ran[id(pair[0])] == 1]


def _replace(network: nn.Module, old: nn.Module, new: nn.Module) -> None:
    for parent in network.modules():
        for name, child in parent.named_children():
            if child is old:
                setattr(parent, name, new)
