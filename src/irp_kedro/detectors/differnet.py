"""DifferNet (Rudolph et al., WACV 2021) on the feature bank: the paper's detector.

Training draws random views of every image in each epoch; the score averages over fixed, evenly spread views
(Eq. 4). Features are standardised by the first training set they see: backbones differ in scale, the flow's
initial weights do not.
"""

import logging
from collections.abc import Mapping
from typing import Self

import numpy as np
import torch
from torch import Tensor

from irp_kedro.core import seeding
from irp_kedro.core.detector import Rows, Scores
from irp_kedro.detectors.flow import NormalizingFlow, latent_energy, negative_log_likelihood
from irp_kedro.detectors.settings import DetectorSettings, TrainedDetector

logger = logging.getLogger(__name__)

SMALLEST_DEVIATION = 1e-3  # features that hardly vary must not blow up rounding noise
SCORED_TOGETHER = 1024  # feature vectors a forward pass when scoring


class DifferNet:
    """A normalizing flow over pooled features.

    Args:
        features: (n_images, n_views, n_features) on the device that trains.
        settings: shape, training and views.
        name: of the random streams; detectors of other names start from other weights.
    """

    def __init__(self, features: Tensor, settings: DetectorSettings, name: str = "detector") -> None:
        self.features = features
        self.settings = settings
        self.name = name
        self.epochs_trained = 0
        seed = seeding.stream_seed(settings.seed, name, "weights")
        self.flow = NormalizingFlow(features.shape[2], settings.flow, seed).to(features.device)
        self.mean: Tensor | None = None
        self.deviation: Tensor | None = None
        self._optimiser = torch.optim.Adam(
            self.flow.parameters(),
            lr=settings.training.learning_rate,
            betas=(0.8, 0.8),  # DifferNet's; Adam's own are (0.9, 0.999)
            eps=1e-4,
            weight_decay=settings.training.weight_decay,
        )

    def fit(self, rows: Rows, *, epochs: int) -> list[float]:
        """Train for ``epochs`` more epochs; return the mean loss of each, nats a feature."""
        if self.mean is None:
            self._standardise(rows)
        self.flow.train()
        index = torch.as_tensor(rows, device=self.features.device)
        losses = [self._train_epoch(index) for _ in range(epochs)]
        # One transfer for all epochs: nothing inside an epoch waits for the device.
        return torch.stack(losses).tolist() if losses else []

    def score(self, rows: Rows) -> Scores:
        """Return the score of each image, higher = more anomalous, averaged over ``views.score`` views."""
        self.flow.eval()
        index = torch.as_tensor(rows, device=self.features.device)
        views = _evenly(self.features.shape[1], self.settings.views.score).to(index.device)
        with torch.inference_mode():
            vectors = self._standardised(self.features[index][:, views].flatten(0, 1))
            scored = torch.cat([self._score_vectors(part) for part in vectors.split(SCORED_TOGETHER)])
        return scored.view(len(rows), -1).mean(dim=1).double().cpu().numpy()

    def score_features(self, features: Tensor) -> Tensor:
        """Return the scores (n_images,) of features (n_images, n_views, n_features); can be differentiated."""
        self.flow.eval()
        scored = self._score_vectors(self._standardised(features.flatten(0, 1)))
        return scored.view(len(features), -1).mean(dim=1)

    def fresh(self, name: str) -> Self:
        """Return an untrained detector on the same features."""
        return type(self)(self.features, self.settings, name)

    def export(self) -> TrainedDetector:
        """Return weights, statistics and shape."""
        # Copied, on the CPU too: training may go on.
        tensors = {key: value.to("cpu", copy=True) for key, value in self.flow.state_dict().items()}
        mean, deviation = self._statistics()
        tensors |= {"mean": mean.cpu(), "deviation": deviation.cpu()}
        config = {"settings": self.settings.as_config(), "name": self.name}
        return TrainedDetector(detector="differnet", tensors=tensors, config=config)

    def state(self) -> dict[str, Tensor]:
        """Return weights, statistics, Adam's moments and the number of epochs so far."""
        moments = {
            f"adam/{parameter}/{name}": value.to("cpu", copy=True)
            for parameter, values in self._optimiser.state_dict()["state"].items()
            for name, value in values.items()
        }
        if self.mean is None:
            return {}  # nothing has been trained, and the weights follow from the seed
        return {**self.export().tensors, **moments, "epochs_trained": torch.tensor(self.epochs_trained)}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take a :meth:`state` back."""
        if not state:
            return
        own = dict(state)
        self.epochs_trained = int(own.pop("epochs_trained"))
        moments: dict[int, dict[str, Tensor]] = {}
        for key in [key for key in own if key.startswith("adam/")]:
            _, parameter, name = key.split("/")
            moments.setdefault(int(parameter), {})[name] = own.pop(key)
        self.mean, self.deviation = (own.pop(key).to(self.features.device) for key in ("mean", "deviation"))
        self.flow.load_state_dict(own)
        groups = self._optimiser.state_dict()["param_groups"]
        self._optimiser.load_state_dict({"state": moments, "param_groups": groups})

    @classmethod
    def restore(cls, trained: TrainedDetector, features: Tensor) -> Self:
        """Return a saved detector, bound to other images' features."""
        settings = DetectorSettings.from_config(trained.config["settings"])
        detector = cls(features, settings, trained.config["name"])
        tensors = {key: value.to(features.device) for key, value in trained.tensors.items()}
        detector.mean, detector.deviation = tensors.pop("mean"), tensors.pop("deviation")
        detector.flow.load_state_dict(tensors)
        return detector

    def _train_epoch(self, index: Tensor) -> Tensor:
        vectors = self._epoch_views(index)
        loss_sum = torch.zeros((), device=vectors.device)
        for batch in vectors.split(self.settings.training.batch_views):
            latents, log_determinant = self.flow(batch)
            loss = negative_log_likelihood(latents, log_determinant).mean()
            self._optimiser.zero_grad(set_to_none=True)
            loss.backward()
            self._optimiser.step()
            loss_sum += loss.detach() * len(batch)
        return loss_sum / len(vectors)

    def _epoch_views(self, index: Tensor) -> Tensor:
        """Return ``views.train`` random views of each image, shuffled, (n, n_features): one gather."""
        # Named by the epoch, so that a resumed training draws what an unbroken one would have drawn.
        rng = seeding.stream(self.settings.seed, self.name, "views", self.epochs_trained)
        self.epochs_trained += 1
        n_views, drawn = self.features.shape[1], self.settings.views.train
        views = rng.permuted(np.tile(np.arange(n_views), (len(index), 1)), axis=1)[:, :drawn]
        order = rng.permutation(views.size)
        images = torch.as_tensor(order // drawn, device=index.device)
        chosen = torch.as_tensor(views.ravel()[order], device=index.device)
        return self._standardised(self.features[index[images], chosen])

    def _standardise(self, rows: Rows) -> None:
        seen = self.features[torch.as_tensor(rows, device=self.features.device)].float().flatten(0, 1)
        self.mean = seen.mean(dim=0)
        self.deviation = seen.std(dim=0).clamp_min(SMALLEST_DEVIATION)

    def _standardised(self, vectors: Tensor) -> Tensor:
        mean, deviation = self._statistics()
        return (vectors.float() - mean) / deviation

    def _statistics(self) -> tuple[Tensor, Tensor]:
        if self.mean is None or self.deviation is None:
            raise RuntimeError("A detector scores only after fit() or restore().")
        return self.mean, self.deviation

    def _score_vectors(self, vectors: Tensor) -> Tensor:
        latents, log_determinant = self.flow(vectors)
        if self.settings.score == "latent_energy":
            return latent_energy(latents)
        return negative_log_likelihood(latents, log_determinant)


def _evenly(available: int, wanted: int) -> Tensor:
    return torch.arange(wanted) * available // wanted
