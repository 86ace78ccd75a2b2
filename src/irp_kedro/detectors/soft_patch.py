"""The idea of SoftPatch (Jiang et al., NeurIPS 2022): denoise patches by local outlier factor, then remember.

A rival of :mod:`irp_kedro.detectors.patch_memory` on the same patches. The local outlier factor is taken among
the patches at one position; the most outlying of all never enter the memory, those that do carry their factor
as a weight. The greedy coreset of the paper is replaced by a seeded draw.
"""

from collections.abc import Mapping
from typing import Self

import numpy as np
import torch
from sklearn.neighbors import LocalOutlierFactor
from torch import Tensor

from irp_kedro.core import seeding
from irp_kedro.core.detector import Rows, Scores
from irp_kedro.detectors.fingerprints import fingerprints
from irp_kedro.detectors.settings import DetectorSettings, TrainedDetector

SMALLEST_DEVIATION = 1e-3
DROPPED = 0.15  # share of patches that never enter the memory; the paper's
NEIGHBOURS = 6  # of the local outlier factor; the paper's
MEMORY = 6000  # patches
TOGETHER = 8  # images compared with the memory at a time


class SoftPatch:
    """Largest weighted distance of an image's patches to the denoised memory of other images.

    Args:
        features: (n_images, n_patches, n_channels).
        settings: only the seed is used.
        name: of the random stream.
    """

    def __init__(self, features: Tensor, settings: DetectorSettings, name: str = "detector") -> None:
        self.features = features
        self.settings = settings
        self.name = name
        self._who = fingerprints(features)
        self._memory: dict[str, Tensor] | None = None

    def fit(self, rows: Rows, *, epochs: int) -> list[float]:
        """Fill the memory from ``rows``; there are no epochs and no losses."""
        seen = self.features[torch.as_tensor(rows, device=self.features.device)].float()
        mean = seen.mean(dim=(0, 1))
        deviation = seen.std(dim=(0, 1)).clamp_min(SMALLEST_DEVIATION) * seen.shape[2] ** 0.5
        seen = (seen - mean) / deviation
        factors = torch.stack([_outlier_factors(seen[:, place]) for place in range(seen.shape[1])], dim=1)
        kept = (factors <= factors.quantile(1 - DROPPED)).flatten().nonzero().flatten()
        rng = seeding.stream(self.settings.seed, self.name, "memory")
        drawn = kept[torch.as_tensor(rng.permutation(len(kept))[:MEMORY], device=kept.device)]
        owner = self._who[torch.as_tensor(rows, device=seen.device)].repeat_interleave(seen.shape[1])
        self._memory = {
            "patches": seen.flatten(0, 1)[drawn],
            "weights": factors.flatten()[drawn],
            "owner": owner[drawn],
            "mean": mean,
            "deviation": deviation,
        }
        return []

    def score(self, rows: Rows) -> Scores:
        """Return the score of each image, higher = more anomalous; no image meets its own patches."""
        memory = self._fitted()
        scores = []
        for some in torch.as_tensor(rows, device=self.features.device).split(TOGETHER):
            patches = (self.features[some].float() - memory["mean"]) / memory["deviation"]
            distances = torch.cdist(patches, memory["patches"])
            own = memory["owner"][None, :] == self._who[some][:, None]
            nearest, which = distances.masked_fill(own[:, None, :], torch.inf).min(dim=2)
            scores.append((nearest * memory["weights"][which]).amax(dim=1))
        return torch.cat(scores).double().cpu().numpy()

    def fresh(self, name: str) -> Self:
        """Return a detector without memory on the same features."""
        return type(self)(self.features, self.settings, name)

    def export(self) -> TrainedDetector:
        """Return the memory."""
        tensors = {key: value.to("cpu", copy=True) for key, value in self._fitted().items()}
        config = {"settings": self.settings.as_config(), "name": self.name}
        return TrainedDetector(detector="soft_patch", tensors=tensors, config=config)

    def state(self) -> dict[str, Tensor]:
        """Return the memory and whose patches it holds, if there is one."""
        return {key: value.to("cpu", copy=True) for key, value in (self._memory or {}).items()}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take a :meth:`state` back."""
        if state:
            self._memory = {key: value.to(self.features.device) for key, value in state.items()}

    @classmethod
    def restore(cls, trained: TrainedDetector, features: Tensor) -> Self:
        """Return a saved detector, bound to other images' features; none vouches for itself."""
        settings = DetectorSettings.from_config(trained.config["settings"])
        detector = cls(features, settings, trained.config["name"])
        detector.load_state(trained.tensors)
        return detector

    def _fitted(self) -> dict[str, Tensor]:
        if self._memory is None:
            raise RuntimeError("A detector scores only after fit() or restore().")
        return self._memory


def _outlier_factors(patches: Tensor) -> Tensor:
    """Return the local outlier factor (n_images,) of the patches at one position, (n_images, n_channels)."""
    estimator = LocalOutlierFactor(n_neighbors=min(NEIGHBOURS, len(patches) - 1))
    factors = -estimator.fit(patches.cpu().numpy()).negative_outlier_factor_
    return torch.as_tensor(factors.astype(np.float32), device=patches.device)
