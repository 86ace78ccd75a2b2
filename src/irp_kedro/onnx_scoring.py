"""Scores of new images by an exported model, through onnxruntime; backbone and detector are in its graph."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from irp_kedro.core.anomaly_maps import Maps
from irp_kedro.core.detector import Scores
from irp_kedro.errors import ModelError
from irp_kedro.features.preparation import Pixels, Preparation

METADATA = "irp_kedro"  # key of the JSON among the graph's metadata
INPUT = "images"


class OnnxScorer:
    """A model that ``kedro irp export`` wrote.

    Args:
        path: the ``.onnx`` file.
        device: ``cpu``, ``cuda…`` or ``auto``; CUDA is used where onnxruntime has it.

    Raises:
        ModelError: onnxruntime is not installed, or the file is no model of this project.
    """

    together = 1

    def __init__(self, path: Path, device: str = "auto") -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise ModelError(
                "Scoring with an .onnx file needs onnxruntime; pip install 'irp-kedro[onnx]'"
            ) from error
        wanted = ["CPUExecutionProvider"]
        if device != "cpu":
            wanted.insert(0, "CUDAExecutionProvider")
        providers = [name for name in wanted if name in onnxruntime.get_available_providers()]
        try:
            self._session = onnxruntime.InferenceSession(path.as_posix(), providers=providers)
        except Exception as error:
            # onnxruntime's own types, of which several derive from Exception alone.
            raise ModelError(f"'{path}' cannot be opened by onnxruntime: {str(error)[:200]}") from error
        stated = self._session.get_modelmeta().custom_metadata_map.get(METADATA)
        if stated is None:
            raise ModelError(
                f"'{path}' was not made by this project; make one: kedro irp export MODEL --to FILE"
            )
        facts = json.loads(stated)
        self.threshold = float(facts["threshold"])
        self.threshold_fits = facts["trained_in"] == "float32" or bool(facts.get("fit"))
        self.preparation = Preparation.from_dict(facts)

    def score(self, pixels: Sequence[Pixels]) -> Scores:
        """Return the score of each prepared image, higher = more anomalous."""
        scores: Scores = self._session.run(None, {INPUT: np.stack(pixels)})[0].astype(np.float64)
        return scores

    def maps(self, pixels: Sequence[Pixels], *, n_views: int) -> Maps:
        """Refuse: the graph has no way back to the pixels.

        Raises:
            ModelError: always.
        """
        raise ModelError(
            "An .onnx file gives scores only; for --maps name the model.safetensors it was made of."
        )

    def map_range(self) -> tuple[float, float]:
        """Return no range: there are no maps."""
        return 0.0, 0.0
