"""DifferNet (Rudolph et al., WACV 2021) on the feature bank: the paper's detector.

Training draws random views of every image in each epoch; the score averages over fixed, evenly spread views
(Eq. 4). Features are standardised by the first training set they see: backbones differ in scale, the flow's
initial weights do not.

On a GPU, nothing inside an epoch or a scoring waits for the device: losses come back once a call of ``fit``,
scores once a call of ``score``, and indexes go there without waiting.
"""

import copy
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor, distributed

from irp_kedro.core import seeding
from irp_kedro.core.detector import Rows, Scores
from irp_kedro.detectors.captured_step import CapturedStep
from irp_kedro.detectors.flow import NormalizingFlow, latent_energy, negative_log_likelihood
from irp_kedro.detectors.settings import DetectorSettings, TrainedDetector
from irp_kedro.features.device import download, keep_freed_memory, resolve_precision, with_halving
from irp_kedro.features.residence import Views, ViewSource, as_views

logger = logging.getLogger(__name__)

SMALLEST_DEVIATION = 1e-3  # features that hardly vary must not blow up rounding noise
SCORED_TOGETHER = 1024  # feature vectors a forward pass when scoring
LARGE = 10_000_000  # weights; their gradients would go back to the system after each step
BATCHES_GATHERED = 128  # at once: all of an epoch for a set of some 3,000 images, and bounded memory beyond


@dataclass(frozen=True, kw_only=True)
class Share:
    """Which part of every batch is this process's: each ``of``-th vector from ``rank`` on."""

    rank: int = 0
    of: int = 1


class DifferNet:
    """A normalizing flow over pooled features.

    Args:
        features: (n_images, n_views, n_features) on the device that trains, or streamed to it.
        settings: shape, training and views.
        name: of the random streams; detectors of other names start from other weights.
        weights: those of a trained flow, on the features' device, instead of drawn ones.
    """

    def __init__(
        self,
        features: Tensor | ViewSource,
        settings: DetectorSettings,
        name: str = "detector",
        weights: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.features = as_views(features)
        self.settings = settings
        self.name = name
        self.epochs_trained = 0
        seed = seeding.stream_seed(settings.seed, name, "weights")
        self.flow = NormalizingFlow(features.shape[2], settings.flow, seed, weights).to(features.device)
        self.mean: Tensor | None = None
        self.deviation: Tensor | None = None
        if sum(value.numel() for value in self.flow.parameters()) > LARGE and features.device.type == "cpu":
            keep_freed_memory()
        self.share = Share()
        self._precision = resolve_precision(settings.training.precision, self.features.device)
        self._trained_together = settings.training.batch_views
        self._scored_together = SCORED_TOGETHER
        self._optimiser = torch.optim.Adam(
            self.flow.parameters(),
            lr=settings.training.learning_rate,
            betas=(0.8, 0.8),  # DifferNet's; Adam's own are (0.9, 0.999)
            eps=1e-4,
            weight_decay=settings.training.weight_decay,
            fused=True,  # one pass over weights and moments a step
            capturable=features.device.type == "cuda",
        )
        self._captured = CapturedStep()

    def fit(self, rows: Rows, *, epochs: int) -> list[float]:
        """Train for ``epochs`` more epochs; return the mean loss of each, nats a feature."""
        if self.mean is None:
            self._standardise(rows)
        self.flow.train()
        losses = [self._train_epoch(rows) for _ in range(epochs)]
        # One transfer for all epochs.
        return [float(loss) for loss in download(torch.stack(losses))] if losses else []

    def score(self, rows: Rows) -> Scores:
        """Return the score of each image, higher = more anomalous, averaged over ``views.score`` views."""
        return download(self.score_there(rows))

    def score_there(self, rows: Rows, *, exact: bool = True) -> Tensor:
        """Return the scores where they were computed.

        Args:
            rows: images.
            exact: by products in float32, as on other machines; else in the precision of training, enough to
                compare the images of one set.
        """
        self.flow.eval()
        half = not exact and self._precision == "bfloat16"
        chosen = evenly(self.features.shape[1], self.settings.views.score)
        images, views = np.repeat(rows, len(chosen)), np.tile(chosen, len(rows))
        with torch.inference_mode(), torch.autocast(self.features.device.type, torch.bfloat16, half):
            scored, self._scored_together = with_halving(
                lambda size: torch.cat(
                    [
                        self._score_vectors(self._standardised(self.features.gather(images[some], views[some])))
                        for some in _parts(len(images), size)
                    ]
                ),
                self._scored_together,
                "scoring",
            )
        return scored.view(len(rows), -1).mean(dim=1).double()

    def score_features(self, features: Tensor) -> Tensor:
        """Return the scores (n_images,) of features (n_images, n_views, n_features); can be differentiated."""
        self.flow.eval()
        scored = self._score_vectors(self._standardised(features.flatten(0, 1)))
        return scored.view(features.shape[0], -1).mean(dim=1)

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
        self._captured = CapturedStep()
        groups = self._optimiser.state_dict()["param_groups"]
        self._optimiser.load_state_dict({"state": moments, "param_groups": groups})

    @property
    def centre(self) -> Tensor:
        """The mean feature (n_features,) of the training set."""
        return self._statistics()[0]

    def on(self, features: Tensor | ViewSource) -> Self:
        """Return the same trained detector on other images' features; making a flow anew takes long."""
        other = copy.copy(self)
        other.features = as_views(features)
        return other

    @classmethod
    def restore(cls, trained: TrainedDetector, features: Tensor | ViewSource) -> Self:
        """Return a saved detector, bound to other images' features."""
        settings = DetectorSettings.from_config(trained.config["settings"])
        tensors = {key: value.to(features.device) for key, value in trained.tensors.items()}
        mean, deviation = tensors.pop("mean"), tensors.pop("deviation")
        detector = cls(features, settings, trained.config["name"], tensors)
        detector.mean, detector.deviation = mean, deviation
        return detector

    def _train_epoch(self, rows: Rows) -> Tensor:
        images, views = self._drawn(rows)
        batch_views = self.settings.training.batch_views
        loss_sum = torch.zeros((), device=self.features.device)
        for some in _parts(len(images), BATCHES_GATHERED * batch_views):
            vectors = self._standardised(self.features.gather(images[some], views[some]))
            for batch in vectors.split(batch_views):
                loss_sum += self._take_step(batch) * len(batch)
        return loss_sum / len(images)

    def _take_step(self, batch: Tensor) -> Tensor:
        whole = len(batch) == self.settings.training.batch_views == self._trained_together
        if whole and self.share.of == 1 and CapturedStep.possible(batch.device):
            return self._captured.take(self._train_step, batch)
        return self._train_step(batch)

    def _train_step(self, batch: Tensor) -> Tensor:
        loss, self._trained_together = with_halving(
            lambda size: self._gradients(batch, size), self._trained_together, "training"
        )
        self._optimiser.step()
        return loss

    def _gradients(self, batch: Tensor, size: int) -> Tensor:
        """Leave the gradients of the mean loss of ``batch``, ``size`` vectors at a time; return that loss."""
        self._optimiser.zero_grad(set_to_none=True)
        total = torch.zeros((), device=batch.device)
        for part in batch[self.share.rank :: self.share.of].split(size):
            with torch.autocast(batch.device.type, torch.bfloat16, self._precision == "bfloat16"):
                latents, log_determinant = self.flow(part)
            loss = negative_log_likelihood(latents, log_determinant).sum() / len(batch)
            loss.backward()
            total += loss.detach()
        if self.share.of > 1:
            self._add_up(total)
        return total

    def _add_up(self, total: Tensor) -> None:
        """Add the gradients and losses of all processes, in one message."""
        trained = [parameter for parameter in self.flow.parameters() if parameter.requires_grad]
        # A share of a short last batch may be empty.
        own = [torch.zeros_like(value) if value.grad is None else value.grad for value in trained]
        message = torch.cat([total.view(1), *[gradient.flatten() for gradient in own]])
        distributed.all_reduce(message)
        total.copy_(message[0])
        parts = message[1:].split([value.numel() for value in trained])
        for value, part in zip(trained, parts, strict=True):
            value.grad = part.view_as(value)

    def _drawn(self, rows: Rows) -> tuple[Rows, Views]:
        """Return ``views.train`` random views of each image, shuffled: the image and the view of each."""
        # Named by the epoch, so that a resumed training draws what an unbroken one would have drawn.
        rng = seeding.stream(self.settings.seed, self.name, "views", self.epochs_trained)
        self.epochs_trained += 1
        n_views, drawn = self.features.shape[1], self.settings.views.train
        views = rng.permuted(np.tile(np.arange(n_views), (len(rows), 1)), axis=1)[:, :drawn]
        order = rng.permutation(views.size)
        return rows[order // drawn], views.ravel()[order]

    def _standardise(self, rows: Rows) -> None:
        n_views = self.features.shape[1]
        images, views = np.repeat(rows, n_views), np.tile(np.arange(n_views), len(rows))
        total, squares = torch.zeros(
            2, self.features.shape[2], dtype=torch.float64, device=self.features.device
        )
        for some in _parts(len(images), BATCHES_GATHERED * self.settings.training.batch_views):
            seen = self.features.gather(images[some], views[some]).double()
            total += seen.sum(dim=0)
            squares += seen.square().sum(dim=0)
        mean = total / len(images)
        variance = (squares - total * mean) / (len(images) - 1)
        self.mean = mean.float()
        self.deviation = variance.clamp_min(SMALLEST_DEVIATION**2).sqrt().float()

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


def evenly(available: int, wanted: int) -> Views:
    """Return which ``wanted`` of the ``available`` views a score is averaged over."""
    return np.arange(wanted) * available // wanted


def _parts(n: int, size: int) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, n, size))
