"""A saved model as one ONNX graph: prepared pixels in, score out; rotation, backbone and detector inside.

The graph calculates in float32, whatever the backbone ran in when the features were extracted (decision 0036).
"""

import json
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from irp_kedro.detectors.differnet import DifferNet, evenly
from irp_kedro.detectors.settings import DetectorSettings, TrainedDetector
from irp_kedro.errors import ModelError
from irp_kedro.features.backbone import Backbone, on_one_grid
from irp_kedro.features.bank import ExtractionRecipe
from irp_kedro.features.extraction import rounded
from irp_kedro.features.preparation import Pixels
from irp_kedro.features.views import rotation_grids
from irp_kedro.inspection import load_backbone, unbound_detector
from irp_kedro.onnx_scoring import INPUT, METADATA
from irp_kedro.scoring import in_float32, recipe_of, scores_in_float32
from irp_kedro.writing import file_aside

OUTPUT = "scores"
OPSET = 20  # the first whose GridSample and antialiasing Resize say all that is needed


class ScoreGraph(nn.Module):
    """Prepared images (n_images, height, width, 3), uint8 RGB -> anomaly scores (n_images,), float32.

    Args:
        model: a saved detector that states its recipe.

    Raises:
        ModelError: its detector cannot be written as a graph.
    """

    def __init__(self, model: TrainedDetector) -> None:
        super().__init__()
        recipe = recipe_of(model)
        self.head = _head(model, recipe)
        backbone = load_backbone(recipe, torch.device("cpu"))
        if recipe.patch_levels:
            self.features: nn.Module = _Patches(backbone, recipe)
        else:
            self.features = _Views(backbone, recipe, self.head.views)
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        """Return the scores."""
        pixels = images.permute(0, 3, 1, 2).float() / 255
        # The bank keeps half precision, and a sharp detector notices.
        scores: Tensor = self.head(rounded(self.features(pixels)).float())
        return scores.float()


def write_onnx(model: TrainedDetector, path: Path, pixels: Sequence[Pixels] = ()) -> dict[str, Any]:
    """Write ``model`` as ONNX to ``path``; return what its metadata state, its threshold among them.

    Args:
        model: a saved detector that states recipe and threshold.
        path: of the file.
        pixels: prepared images by which the threshold is fitted, where the model does not score in float32.

    Raises:
        ModelError: its detector cannot be written as a graph, or the extra ``onnx`` is not installed.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401 - torch's exporter needs it, and would say so less clearly
    except ImportError as error:
        raise ModelError(
            f"Export needs {error.name}, not installed here; pip install 'irp-kedro[onnx]'"
        ) from error
    recipe, graph = recipe_of(model), ScoreGraph(model)
    facts = _facts(model, recipe, in_float32(model, pixels))
    written = _traced(graph, recipe.preparation.shape)
    entry = written.metadata_props.add()
    entry.key, entry.value = METADATA, json.dumps(facts, sort_keys=True)
    with file_aside(path) as aside:
        onnx.save(written, aside)
    return facts


def _traced(graph: ScoreGraph, shape: tuple[int, int]) -> Any:  # noqa: ANN401 - onnx.ModelProto
    example = torch.zeros((2, *shape, 3), dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, about its own future
        program = torch.onnx.export(
            graph,
            (example,),
            input_names=[INPUT],
            output_names=[OUTPUT],
            opset_version=OPSET,
            dynamo=True,
            dynamic_shapes={INPUT: {0: torch.export.Dim("n_images")}},
            verbose=False,
        )
    if program is None:
        raise ModelError("torch's exporter returned no graph; another version of torch or onnxscript may.")
    return program.model_proto


def _facts(model: TrainedDetector, recipe: ExtractionRecipe, plain: TrainedDetector) -> dict[str, Any]:
    return {
        "detector": model.detector,
        "threshold": plain.config["threshold"],
        "trained_threshold": model.config["threshold"],
        "trained_in": "float32" if scores_in_float32(model) else "bfloat16",
        "fit": plain.config.get("fit"),
        "false_alarm_rate": model.config.get("false_alarm_rate"),
        **asdict(recipe.preparation),
        "backbone": recipe.backbone,
    }


class _Views(nn.Module):
    """Pixels (n, 3, side, side) -> pooled features (n, n_views, n_features) of rotated views."""

    def __init__(self, backbone: Backbone, recipe: ExtractionRecipe, views: list[int]) -> None:
        super().__init__()
        self.levels, self.scales = backbone.levels, backbone.scales
        self.mean, self.std = nn.Buffer(backbone.mean), nn.Buffer(backbone.std)
        angles = [recipe.angles[view] for view in views]
        self.grids = nn.Buffer(rotation_grids(angles, recipe.size, recipe.size, torch.device("cpu")))
        for scale in self.scales:
            self.register_buffer(_matrix_name(scale), _resizing(recipe.size, scale))

    def forward(self, pixels: Tensor) -> Tensor:
        n_views, side = self.grids.shape[0], pixels.shape[-1]
        repeated = pixels[:, None].expand(-1, n_views, -1, -1, -1).reshape(-1, 3, side, side)
        grids = self.grids[None].expand(pixels.shape[0], -1, -1, -1, -1).reshape(-1, side, side, 2)
        turned = functional.grid_sample(
            repeated, grids, mode="bilinear", padding_mode="reflection", align_corners=False
        )
        normalised = (turned - self.mean) / self.std
        pooled = []
        for scale in self.scales:
            matrix = self.get_buffer(_matrix_name(scale))
            scaled = normalised if scale == 1 else matrix @ normalised @ matrix.T
            pooled += [level.mean(dim=(2, 3)) for level in self.levels(scaled)]
        features = torch.cat(pooled, dim=1)
        return features.reshape(-1, n_views, features.shape[1])


class _Patches(nn.Module):
    """Pixels (n, 3, height, width) -> patch features (n, n_patches, n_channels)."""

    def __init__(self, backbone: Backbone, recipe: ExtractionRecipe) -> None:
        super().__init__()
        self.backbone, self.recipe = backbone, recipe

    def forward(self, pixels: Tensor) -> Tensor:
        # As `Backbone.patches`, but all turns of one shape in one pass: the network stands in the graph only
        # once, or twice where upright and sideways differ.
        turns = range(len(self.recipe.angles))
        passes = [turns] if self.recipe.aspect == 1 else [turns[::2], turns[1::2]]
        normalised = (pixels - self.backbone.mean) / self.backbone.std
        back = [grid for some in passes if some for grid in self._turned_back(normalised, some)]
        return torch.stack(back).mean(dim=0).flatten(2).transpose(1, 2)

    def _turned_back(self, pixels: Tensor, turns: Sequence[int]) -> list[Tensor]:
        views = torch.cat([torch.rot90(pixels, turn, (2, 3)) for turn in turns])
        grid = on_one_grid(self.backbone.levels(views), self.recipe.patch_levels, self.recipe.patch_skip)
        by_turn = grid.reshape(len(turns), -1, *grid.shape[1:])
        return [torch.rot90(by_turn[place], -turn, (2, 3)) for place, turn in enumerate(turns)]


def _matrix_name(scale: float) -> str:
    return f"resizing_{scale}".replace(".", "_")


def _resizing(side: int, scale: float) -> Tensor:
    """Return the matrix (new side, side) that resizes rows as the backbone does: antialiased, bilinear."""
    # Resized in height alone, the identity becomes the matrix that does so.
    size = (max(32, round(side * scale)), side)
    return functional.interpolate(torch.eye(side)[None, None], size=size, mode="bilinear", antialias=True)[0, 0]


class _FlowHead(nn.Module):
    """Features of the views a score averages -> mean latent energy, or negative log likelihood."""

    def __init__(self, detector: DifferNet) -> None:
        super().__init__()
        self.views = evenly(detector.features.shape[1], detector.settings.views.score).tolist()
        self.flow = detector.flow
        self.detector = detector

    def forward(self, features: Tensor) -> Tensor:
        return self.detector.score_features(features)


class _GaussianHead(nn.Module):
    """Features of all views -> squared Mahalanobis distance of their mean, divided by their number."""

    def __init__(self, model: TrainedDetector, n_views: int) -> None:
        super().__init__()
        self.views = list(range(n_views))
        factor = model.tensors["factor"].double()
        whitening = torch.linalg.solve_triangular(factor, torch.eye(len(factor)).double(), upper=False)
        self.mean, self.deviation = nn.Buffer(model.tensors["mean"]), nn.Buffer(model.tensors["deviation"])
        self.whitening = nn.Buffer(whitening)

    def forward(self, features: Tensor) -> Tensor:
        centred = features.mean(dim=1).double() / self.deviation - self.mean
        return (centred @ self.whitening.T).square().mean(dim=1)


class _MemoryHead(nn.Module):
    """Patches -> mean excess distance of the worst of them."""

    def __init__(self, model: TrainedDetector) -> None:
        super().__init__()
        asked = DetectorSettings.from_config(model.config["settings"]).patches
        held = {key: value.float() for key, value in model.tensors.items()}
        self.n_images, self.per_image, _ = held["patches"].shape
        self.k, self.worst = max(1, int(asked.neighbours * self.n_images)), asked.worst
        self.mean, self.deviation = nn.Buffer(held["mean"]), nn.Buffer(held["deviation"])
        self.memory = nn.Buffer(held["patches"].flatten(0, 1))
        self.reach = nn.Buffer(held["reach"].flatten())
        self.first = nn.Buffer(torch.arange(self.n_images) * self.per_image)

    def forward(self, features: Tensor) -> Tensor:
        patches = (features - self.mean) / self.deviation
        squared = (
            patches.square().sum(dim=2, keepdim=True)
            + self.memory.square().sum(dim=1)
            - 2 * patches @ self.memory.T
        )
        by_image = squared.reshape(*squared.shape[:2], self.n_images, self.per_image)
        nearest, which = by_image.min(dim=3)
        # In half precision, as the detector keeps it, so that equals stay equal.
        distance = nearest.clamp_min(0).sqrt().half().float()
        kth = distance.topk(self.k, dim=2, largest=False).values[:, :, -1:]
        near = (distance <= kth).float()
        theirs = (self.reach[self.first + which] * near).sum(dim=2) / near.sum(dim=2).clamp_min(1)
        excess = kth[:, :, 0] - theirs
        worst: Tensor = excess.topk(min(self.worst, excess.shape[1]), dim=1).values.mean(dim=1)
        return worst


def _head(model: TrainedDetector, recipe: ExtractionRecipe) -> Any:  # noqa: ANN401 - one of the heads
    if model.detector == "differnet":
        detector = unbound_detector(model, recipe, torch.device("cpu"))
        return _FlowHead(cast("DifferNet", detector))
    if model.detector == "gaussian":
        return _GaussianHead(model, len(recipe.angles))
    if model.detector in {"patch_memory", "fine_patch_memory"}:
        return _MemoryHead(model)
    raise ModelError(
        f"A model of the detector '{model.detector}' cannot be written as ONNX; those of differnet, gaussian, "
        "patch_memory and fine_patch_memory can."
    )
