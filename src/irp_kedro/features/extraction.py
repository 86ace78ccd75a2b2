"""Fill a feature bank: decode, rotate, extract; only what the store lacks, in bounded memory."""

import itertools
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from irp_kedro.features.backbone import Backbone
from irp_kedro.features.bank import ExtractionRecipe, FeatureBank, Features, FeatureStore
from irp_kedro.features.colours import COLOURS, colour_cells, colour_recipe
from irp_kedro.features.device import (
    BatchViews,
    keep_freed_memory,
    resolve_batch_views,
    resolve_precision,
    with_halving,
)
from irp_kedro.features.preparation import Pixels, PreparedImages
from irp_kedro.features.views import even_angles, rotate

logger = logging.getLogger(__name__)

T = TypeVar("T")

DECODERS, DECODERS_BESIDE_GPU = 2, 8  # threads; a CPU that runs the backbone has other work
DECODED_AHEAD = 16  # images at most


@dataclass(frozen=True, kw_only=True)
class ExtractionPlan:
    """What to extract and how.

    Attributes:
        backbone: name of the frozen network.
        scales: input sizes relative to the prepared image.
        n_views: rotated views an image; of patches, 1 or 4 quarter turns whose patches are averaged.
        precision: ``auto``, ``float32`` or ``bfloat16``; auto takes bfloat16 where the hardware multiplies it.
        batch_views: views that pass the network together; ``auto`` goes by the device.
        shard_images: images a shard; a kill loses at most one shard.
        patch_levels: maps that are kept by position, at full scale; 0 pools them.
        finer: also keep finer patches, of the maps before the deepest, from the same pass.
        coloured: also keep the colours of the same prepared images.
    """

    backbone: str
    scales: tuple[float, ...]
    n_views: int
    precision: str
    batch_views: BatchViews
    shard_images: int
    patch_levels: int = 0
    finer: bool = False
    coloured: bool = False

    def __post_init__(self) -> None:
        """Refuse patches of anything but quarter turns at full scale."""
        if self.patch_levels and (self.n_views not in {1, 4} or self.scales != (1.0,)):
            raise ValueError("Patches are taken of one upright view or its 4 quarter turns, at full scale.")


@dataclass(frozen=True, kw_only=True)
class ExtractionRecord:
    """What an extraction did: how many images it read (0 = all were in the bank) and in how many seconds."""

    extracted: int
    reused: int
    seconds: float


def extract(
    images: PreparedImages,
    plan: ExtractionPlan,
    store: FeatureStore,
    device: torch.device,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[FeatureBank, ExtractionRecord]:
    """Make sure that ``store`` has every image's features; return their bank and what was done.

    The bank of patches knows that of the finer ones and that of the colours beside it (:class:`FeatureBank`).

    Images are taken in the order of their digests and every batch has the same shape, so that neither names nor
    an interruption changes a number.

    Args:
        images: what to extract.
        plan: how.
        store: where features are kept.
        device: where the network runs.
        progress: called with (images done, images to do) after each batch.
    """
    started = time.perf_counter()
    if device.type == "cpu":
        keep_freed_memory()
    precision = resolve_precision(plan.precision, device)
    backbone = Backbone(plan.backbone, plan.scales, precision).to(device)
    recipe = ExtractionRecipe(
        backbone=plan.backbone,
        weights=backbone.weights_digest(),
        crop=images.preparation.crop,
        size=images.preparation.size,
        aligned=images.preparation.aligned,
        aspect=images.preparation.aspect,
        angles=tuple(even_angles(plan.n_views)),
        scales=plan.scales,
        precision=precision,
        patch_levels=plan.patch_levels,
    )
    finer, coloured = replace(recipe, patch_skip=1), colour_recipe(images.preparation)
    batch_views = resolve_batch_views(plan.batch_views, device)
    recipes = [recipe, *[finer] * plan.finer, *[coloured] * plan.coloured]
    digests = sorted(images.paths)
    # Cells that start together wait here and then find the features that the first of them extracted.
    with FileLock(store.folder(recipe) / "extraction.lock"):
        lacking = [each for each in recipes if store.missing(each, digests)]
        missing = sorted(set().union(*(store.missing(each, digests) for each in lacking)))
        done = 0
        for shard in _batched(missing, plan.shard_images):
            decoded = _decode_ahead(images, shard, device)
            batches = extract_batches(backbone, decoded, lacking, batch_views, device)
            rows = []
            for batch in batches:
                rows.append(batch)
                done += len(batch[0])
                progress(done, len(missing))
            for each, parts in zip(lacking, zip(*rows, strict=True), strict=True):
                store.write_shard(each, shard, np.concatenate(parts))
    record = ExtractionRecord(
        extracted=len(missing), reused=len(digests) - len(missing), seconds=time.perf_counter() - started
    )
    bank = replace(
        store.open(recipe, digests),
        finer=finer.digest() if plan.finer else "",
        coloured=coloured.digest() if plan.coloured else "",
    )
    return bank, record


def extract_batches(
    backbone: Backbone | None,
    decoded: Iterator[Pixels],
    recipes: Sequence[ExtractionRecipe],
    batch_views: int,
    device: torch.device,
) -> Iterator[list[Features]]:
    """Yield the features of decoded images, a batch at a time, in their order; one array for each recipe.

    Every batch has the same shape, so that an image's features do not depend on how many come with it.

    Args:
        backbone: what looks at them; none is needed for colours alone.
        decoded: (side, side, 3) each.
        recipes: one; or several of patches that differ in the maps they leave out, made in one pass, and of
            colours.
        batch_views: views that pass together.
        device: where the backbone is.
    """
    recipe = recipes[0]
    per_batch = images_together(recipe, batch_views)
    together = batch_views
    for group in _batched(decoded, per_batch):
        # A last, shorter batch is filled up: kernels may round differently for other shapes.
        attempt = partial(_pass, backbone, filled_up(group, per_batch), recipes, device)
        kinds, together = with_halving(attempt, together, "extraction")
        yield [rounded(kind[: len(group)]).cpu().numpy() for kind in kinds]


def _pass(
    backbone: Backbone | None,
    images: Pixels,
    recipes: Sequence[ExtractionRecipe],
    device: torch.device,
    together: int,
) -> list[Tensor]:
    """Return features of ``images`` (n, side, side, 3) for each recipe: by the network first, colours last."""
    seen = [recipe for recipe in recipes if recipe.backbone != COLOURS]
    with torch.inference_mode():
        pixels = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float() / 255
        colours = [colour_cells(pixels)] * (len(recipes) - len(seen))
        if backbone is None or not seen:
            return colours
        with torch.autocast(device.type, torch.bfloat16, _is_bf16(seen[0])):
            return _by_network(backbone, pixels, seen, together) + colours


def _by_network(
    backbone: Backbone, pixels: Tensor, recipes: Sequence[ExtractionRecipe], together: int
) -> list[Tensor]:
    """Return features of every view, or the patches, coarse or fine."""
    recipe = recipes[0]
    angles, skips = list(recipe.angles), [each.patch_skip for each in recipes]
    if recipe.patch_levels:
        parts = [
            backbone.patches(part, recipe.patch_levels, skips, len(angles)) for part in pixels.split(together)
        ]
        return [torch.cat(kind) for kind in zip(*parts, strict=True)]
    pooled = torch.cat([backbone(part) for part in rotate(pixels, angles).split(together)])
    return [pooled.view(len(pixels), len(angles), -1)]


def images_together(recipe: ExtractionRecipe, batch_views: int) -> int:
    """Return how many images make a batch: pooled views pass together, quarter turns one after another."""
    return batch_views if recipe.patch_levels else max(1, batch_views // len(recipe.angles))


def filled_up(images: Sequence[Pixels], size: int) -> Pixels:
    """Return ``size`` images as one array: those there are, and the last of them again.

    On a GPU a first batch of another shape takes seconds: cuDNN makes a plan for every convolution.
    """
    return np.stack([*images, *[images[-1]] * (size - len(images))])


def rounded(features: Tensor) -> Tensor:
    """Return features in half precision, as a bank keeps them; what would not fit is cut off."""
    limit = torch.finfo(torch.float16).max
    return features.clamp(-limit, limit).half()


def _is_bf16(recipe: ExtractionRecipe) -> bool:
    return recipe.precision == "bfloat16"


def _decode_ahead(images: PreparedImages, digests: Sequence[str], device: torch.device) -> Iterator[Pixels]:
    decoders = DECODERS if device.type == "cpu" else min(DECODERS_BESIDE_GPU, os.cpu_count() or 1)
    with ThreadPoolExecutor(decoders) as pool:
        waiting: deque[Future[Pixels]] = deque()
        for digest in digests:
            waiting.append(pool.submit(images.read, digest))
            if len(waiting) >= DECODED_AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while group := list(itertools.islice(iterator, size)):
        yield group
