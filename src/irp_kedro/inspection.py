"""A saved detector looks at images: where each score comes from."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from irp_kedro.core.anomaly_maps import AnomalyMaps, Maps, joined
from irp_kedro.detectors.localization import Differentiable, MapsItself, gradient_maps
from irp_kedro.detectors.registry import BankDetector, detector_type
from irp_kedro.detectors.settings import TrainedDetector
from irp_kedro.errors import IncompleteRunError
from irp_kedro.features.backbone import Backbone
from irp_kedro.features.bank import ExtractionRecipe, FeatureBank
from irp_kedro.features.device import with_halving
from irp_kedro.features.extraction import filled_up
from irp_kedro.features.preparation import PreparedImages
from irp_kedro.features.views import even_angles
from irp_kedro.judges import FeatureLoader, resolve_device

logger = logging.getLogger(__name__)

# Views followed back at a time: what they hold in the backbone bounds the memory.
VIEWS_TOGETHER, VIEWS_TOGETHER_ON_GPU = 8, 64
PATCHES_TOGETHER = 64  # images whose patch features are read at a time


@dataclass(frozen=True, kw_only=True)
class Inspected:
    """What a detector needs of the images it looks at.

    Attributes:
        bank: pooled features, by whose recipe pixels become features.
        images: the prepared images.
        device: as the parameter.
        patches: patch features, for detectors that work on them.
    """

    bank: FeatureBank
    images: PreparedImages
    device: str
    patches: FeatureBank | None = None


def map_images(
    model: TrainedDetector, seen: Inspected, image_ids: Sequence[str], digests: Sequence[str], *, n_views: int
) -> AnomalyMaps:
    """Return a saved detector's anomaly map of each image; none, where it can make none.

    A detector that scores places gives its own map; one whose score can be followed back to the pixels gives
    its gradient. Images are taken in small batches.

    Args:
        model: the detector.
        seen: features and pixels.
        image_ids: whose maps.
        digests: of the same images.
        n_views: evenly rotated views that a gradient is averaged over.

    Raises:
        IncompleteRunError: the backbone has other weights than those the features were extracted with.
    """
    started = time.perf_counter()
    kind = detector_type(model.detector)
    if not digests:
        return AnomalyMaps.empty()
    if hasattr(kind, "anomaly_map"):
        maps = joined(image_ids, list(_own_maps(model, seen, digests)), "patches", model.detector)
    elif hasattr(kind, "score_features"):
        maps = joined(image_ids, list(_gradients(model, seen, digests, n_views)), "gradient", model.detector)
    else:
        logger.info("'%s' makes no anomaly maps", model.detector)
        return AnomalyMaps.empty()
    seconds = time.perf_counter() - started
    logger.info("%d maps by %s, %.3f s an image", len(maps), maps.method, seconds / len(maps))
    return maps


def load_backbone(recipe: ExtractionRecipe, device: torch.device) -> Backbone:
    """Return the backbone that a recipe names.

    Raises:
        IncompleteRunError: its weights here are others than the recipe's.
    """
    backbone = Backbone(recipe.backbone, recipe.scales, recipe.precision).to(device)
    found = backbone.weights_digest()
    if found != recipe.weights:
        raise IncompleteRunError(
            f"The weights of backbone '{recipe.backbone}' here ({found}) are not those that the features were "
            f"extracted with ({recipe.weights}); extract and train again: kedro run"
        )
    return backbone


def unbound_detector(model: TrainedDetector, recipe: ExtractionRecipe, device: torch.device) -> BankDetector:
    """Return a saved detector on no images, for the features that are handed to it."""
    nothing = torch.empty((0, len(recipe.angles), len(model.tensors["mean"])), device=device)
    return detector_type(model.detector).restore(model, nothing)


def _own_maps(model: TrainedDetector, seen: Inspected, digests: Sequence[str]) -> Iterator[Maps]:
    proportion = proportion_of(seen.patches)
    for start in range(0, len(digests), PATCHES_TOGETHER):
        some = digests[start : start + PATCHES_TOGETHER]
        loader = FeatureLoader(seen.bank, seen.patches, some, seen.device, seen.images)
        detector = detector_type(model.detector).restore(model, loader.of(model.detector))
        if isinstance(detector, MapsItself):
            yield as_half(detector.anomaly_map(np.arange(len(some)), proportion))


def proportion_of(patches: FeatureBank | None) -> float:
    """Return width over height of the images that a bank's patches were taken from; 1 where there is none."""
    return patches.read_recipe().proportion if patches is not None and patches.recipe else 1.0


def _gradients(model: TrainedDetector, seen: Inspected, digests: Sequence[str], n_views: int) -> Iterator[Maps]:
    recipe, place = seen.bank.read_recipe(), resolve_device(seen.device)
    backbone = load_backbone(recipe, place)
    detector = unbound_detector(model, recipe, place)
    bfloat16 = recipe.precision == "bfloat16"
    views_together = VIEWS_TOGETHER if place.type == "cpu" else VIEWS_TOGETHER_ON_GPU
    size = together = max(1, views_together // n_views)
    for start in range(0, len(digests), together):
        some = digests[start : start + together]
        pixels = filled_up([seen.images.read(digest) for digest in some], together)
        prepared = torch.from_numpy(pixels).to(place).permute(0, 3, 1, 2).float() / 255
        if isinstance(detector, Differentiable):
            follow = partial(gradient_maps, detector, backbone, angles=even_angles(n_views), bfloat16=bfloat16)
            attempt = partial(_in_parts, follow, prepared)
            maps, size = with_halving(attempt, size, "anomaly maps")
            yield as_half(maps[: len(some)])


def _in_parts(follow: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor, size: int) -> torch.Tensor:
    return torch.cat([follow(part) for part in torch.split(images, size)])


def as_half(maps: torch.Tensor) -> Maps:
    """Return maps in half precision; what would not fit is cut off."""
    limit = torch.finfo(torch.float16).max
    half: Maps = maps.float().clamp(-limit, limit).half().cpu().numpy()
    return half
