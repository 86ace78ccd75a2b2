"""What any detector may be told, and what any trained detector can be saved as."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from torch import Tensor

from irp_kedro.parameters import FlowParameters, PatchParameters, TrainingParameters, ViewParameters


@dataclass(frozen=True, kw_only=True)
class DetectorSettings:
    """The parameters that shape a detector.

    Attributes:
        flow: shape of the normalizing flow.
        training: batches and learning rate.
        views: how many views a training step draws and a score averages.
        patches: how a memory of patches is made and asked.
        score: what a flow's latents are turned into.
        seed: initial weights and order of views.
    """

    flow: FlowParameters
    training: TrainingParameters
    views: ViewParameters
    score: Literal["latent_energy", "negative_log_likelihood"]
    seed: int
    patches: PatchParameters = field(default_factory=PatchParameters)

    def as_config(self) -> dict[str, Any]:
        """Return plain values that :meth:`from_config` understands."""
        return {
            "flow": self.flow.model_dump(),
            "training": self.training.model_dump(),
            "views": self.views.model_dump(),
            "patches": self.patches.model_dump(),
            "score": self.score,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return the settings that :meth:`as_config` wrote."""
        return cls(
            flow=FlowParameters.model_validate(config["flow"]),
            training=TrainingParameters.model_validate(config["training"]),
            views=ViewParameters.model_validate(config["views"]),
            # Models saved before there were patches do not state them.
            patches=PatchParameters.model_validate(config.get("patches", {})),
            score=config["score"],
            seed=config["seed"],
        )


@dataclass(frozen=True, kw_only=True)
class TrainedDetector:
    """A trained detector as plain tensors and plain values: loading one never runs code.

    Attributes:
        detector: name in the registry.
        tensors: weights and statistics by name.
        config: everything else that scoring needs, JSON-able.
    """

    detector: str
    tensors: Mapping[str, Tensor]
    config: Mapping[str, Any]
