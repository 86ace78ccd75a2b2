"""Scores of new images by a saved model, in a process that has nothing but the model's file."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from irp_kedro.core.anomaly_maps import Maps
from irp_kedro.core.detector import Scores
from irp_kedro.detectors.localization import Differentiable, MapsItself, gradient_maps, mean_of_map
from irp_kedro.detectors.registry import DETECTORS, BankDetector, check_detector_name, detector_type
from irp_kedro.detectors.settings import TrainedDetector
from irp_kedro.errors import ModelError
from irp_kedro.features.bank import ExtractionRecipe
from irp_kedro.features.colours import COLOURS
from irp_kedro.features.device import BatchViews, resolve_batch_views, resolve_precision
from irp_kedro.features.extraction import extract_batches, images_together
from irp_kedro.features.preparation import Pixels, Preparation
from irp_kedro.features.views import even_angles
from irp_kedro.inspection import as_half, load_backbone, unbound_detector
from irp_kedro.judges import resolve_device

# Of a gradient map in an image at the threshold, relative to its mean: normal surfaces stay near the first.
FAINTEST, STRONGEST = 1.5, 3.0


class Scorer(Protocol):
    """Whatever gives prepared images a score.

    Attributes:
        preparation: how a file becomes the pixels it expects.
        threshold: above it an image is anomalous.
        threshold_fits: whether it comes from scores in the same arithmetic.
        together: how many images it takes at a time without waste.
    """

    preparation: Preparation
    threshold: float
    threshold_fits: bool
    together: int

    def score(self, pixels: Sequence[Pixels]) -> Scores:
        """Return the score of each prepared image, higher = more anomalous."""
        ...

    def maps(self, pixels: Sequence[Pixels], *, n_views: int) -> Maps:
        """Return the anomaly map of each prepared image, (n_images, height, width).

        Raises:
            ModelError: this one makes none.
        """
        ...

    def map_range(self) -> tuple[float, float]:
        """Return the values between which a map is drawn: one scale for all images, set by the threshold."""
        ...


class SavedScorer:
    """A saved detector with the backbone that its features come from.

    Args:
        model: as ``model.safetensors`` holds it.
        device: as the parameter.
        batch_views: views that pass the backbone together, as when the bank was made: kernels may round
            otherwise for other shapes; ``auto`` goes by the device.

    Raises:
        ModelError: the model does not say how pixels become its features, or at which score it alarms.
    """

    def __init__(self, model: TrainedDetector, device: str, batch_views: BatchViews = 8) -> None:
        self.model = model
        self.recipe = recipe_of(model)
        self.threshold = float(model.config["threshold"])
        self.threshold_fits = model.config.get("fit", True) is not None
        self.preparation = self.recipe.preparation
        self._device = resolve_device(device)
        self.batch_views = resolve_batch_views(batch_views, self._device)
        self.together = images_together(self.recipe, self.batch_views)
        self._works_on_pixels = DETECTORS[model.detector].features == "pixels"
        needs_none = self._works_on_pixels or self.recipe.backbone == COLOURS
        self._backbone = None if needs_none else load_backbone(self.recipe, self._device)
        kind = detector_type(model.detector)
        self._kept = unbound_detector(model, self.recipe, self._device) if hasattr(kind, "on") else None

    def score(self, pixels: Sequence[Pixels]) -> Scores:
        """Return the score of each prepared image, higher = more anomalous."""
        return self._detector_of(pixels).score(np.arange(len(pixels)))

    def maps(self, pixels: Sequence[Pixels], *, n_views: int) -> Maps:
        """Return the anomaly map of each prepared image, (n_images, height, width).

        Raises:
            ModelError: this detector makes none.
        """
        if isinstance(self._kept, Differentiable) and self._backbone:
            prepared = torch.from_numpy(np.stack(pixels)).to(self._device).permute(0, 3, 1, 2).float() / 255
            bfloat16, angles = self.recipe.precision == "bfloat16", even_angles(n_views)
            parts = [
                gradient_maps(self._kept, self._backbone, image[None], angles, bfloat16=bfloat16)
                for image in prepared
            ]
            return as_half(torch.cat(parts))
        detector = self._detector_of(pixels)
        if isinstance(detector, MapsItself):
            return as_half(detector.anomaly_map(np.arange(len(pixels)), self.recipe.proportion))
        raise ModelError(f"'{self.model.detector}' makes no anomaly maps; leave --maps out.")

    def map_range(self) -> tuple[float, float]:
        """Return the values between which a map is drawn: one scale for all images, set by the threshold."""
        if isinstance(self._kept, Differentiable):
            level = mean_of_map(torch.tensor([self.threshold])).item()
            return FAINTEST * level, STRONGEST * level
        return min(0.5 * self.threshold, self.threshold), 1.5 * abs(self.threshold)

    def _detector_of(self, pixels: Sequence[Pixels]) -> BankDetector:
        features = self._features(pixels)
        if self._kept is not None and hasattr(self._kept, "on"):
            bound: BankDetector = self._kept.on(features)
            return bound
        return detector_type(self.model.detector).restore(self.model, features)

    def _features(self, pixels: Sequence[Pixels]) -> Tensor:
        if self._works_on_pixels:
            return torch.from_numpy(np.stack(pixels)).to(self._device)
        batches = extract_batches(self._backbone, iter(pixels), [self.recipe], self.batch_views, self._device)
        return torch.from_numpy(np.concatenate([features for (features,) in batches])).to(self._device)


def recipe_of(model: TrainedDetector) -> ExtractionRecipe:
    """Return how pixels become the features of a model.

    Raises:
        ModelError: it does not say so, or has no threshold, or its detector is not known here.
    """
    check_detector_name(model.detector, "the model's detector")
    missing = [key for key in ("recipe", "threshold") if key not in model.config]
    if missing:
        raise ModelError(
            f"The model does not state its {' and '.join(missing)}, so new images cannot be scored with it: it "
            "was saved by an older version or by hand. Make it anew: kedro run --pipelines refinement"
        )
    return ExtractionRecipe.from_dict(model.config["recipe"])


def scores_in_float32(model: TrainedDetector) -> bool:
    """Return whether a model, where it was made, scores in float32 from pixels to score."""
    on_patches = DETECTORS[model.detector].features in {"patches", "fine_patches", "colours"}
    told = model.config["settings"]["training"].get("precision", "auto")
    compares_in_half = on_patches and resolve_precision(told, torch.device("cpu")) == "bfloat16"
    return recipe_of(model).precision == "float32" and not compares_in_half


def in_float32(model: TrainedDetector, pixels: Sequence[Pixels] = ()) -> TrainedDetector:
    """Return the model as it scores in float32 throughout, the one arithmetic that every runtime has.

    What was trained on bfloat16 features scores otherwise then, and its threshold no longer fits. Rounding that
    the detector has not seen adds to every score, so the threshold moves by the mean of what it adds to the
    scores of some images (decision 0036); ``fit`` in the configuration says how far and on how many.

    Args:
        model: a saved detector that states recipe and threshold.
        pixels: prepared images, labels unknown, of the training set or like it; without any, the threshold
            stays and ``fit`` is ``None``.
    """
    settings = model.config["settings"]
    changed = {
        "recipe": {**recipe_of(model).as_dict(), "precision": "float32"},
        "settings": {**settings, "training": {**settings["training"], "precision": "float32"}},
    }
    plain = replace(model, config={**model.config, **changed})
    if scores_in_float32(model):
        return plain
    if not pixels:
        return replace(plain, config={**plain.config, "fit": None})
    before, after = (_in_turn(SavedScorer(each, "cpu"), pixels) for each in (model, plain))
    added = after - before
    fit = {"n_images": len(pixels), "shift": float(added.mean()), "spread": float(added.std())}
    moved = {"threshold": float(model.config["threshold"]) + fit["shift"], "fit": fit}
    return replace(plain, config={**plain.config, **moved})


def _in_turn(scorer: SavedScorer, pixels: Sequence[Pixels]) -> Scores:
    starts = range(0, len(pixels), scorer.together)
    return np.concatenate([scorer.score(pixels[start : start + scorer.together]) for start in starts])
