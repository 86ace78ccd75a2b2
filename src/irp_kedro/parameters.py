"""Every parameter a user can set, with its bounds: refused at birth, never half-way through a run.

The models are frozen and forbid unknown keys. :func:`check_parameters` builds the whole tree at once and turns
every fault into one :class:`~irp_kedro.errors.ParameterError` that names key, value and the nearest known key.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, BeforeValidator, Field, ValidationError, model_validator

from irp_kedro.errors import ParameterError, nearest
from irp_kedro.measuring_parameters import (
    CalibrationParameters,
    Count,
    EvaluationParameters,
    Folder,
    Fraction,
    Group,
    LineageParameters,
    ReportingParameters,
    Text,
    ViewsTogether,
)

Strategy = Literal["vanilla", "one_shot_removal", "iterative_refinement"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)


class DatasetParameters(Group):
    """Where the images come from."""

    name: str = "sample"
    path: Text = ""
    product_class: Text = ""


class SampleParameters(Group):
    """The embedded sample: images of textured metal with scratches, spots and dents, made from a seed."""

    seed: int = Field(default=0, ge=0)
    normal_train: Count = 200
    normal_test: Count = 60
    defective: Count = 160
    size: Annotated[int, Field(ge=32, le=2048)] = 192


class PreparationParameters(Group):
    """What happens to an image between disk and backbone."""

    crop: Literal["none", "centre"] = "none"
    align: Literal["auto", "never", "always"] = "auto"
    size: Annotated[int, Field(ge=32, le=2048)] = 192


class ContaminationParameters(Group):
    """How many defects are injected into the training set, and from where (decision 0006)."""

    level: Annotated[float, Field(ge=0, le=0.5)] = 0.2
    definition: Literal["pool_fraction", "added_fraction", "mixture_fraction"] = "pool_fraction"
    on_shortage: Literal["error", "cap", "subsample_normals"] = "error"
    split_seed: int = Field(default=0, ge=0)


class ViewParameters(Group):
    """Rotated views of an image: how many the bank holds, a training epoch draws, and a score averages."""

    bank: Count = 8
    train: Count = 4
    score: Count = 8

    @model_validator(mode="after")
    def _fits_the_bank(self) -> Self:
        for name in ("train", "score"):
            asked = getattr(self, name)
            if asked > self.bank:
                raise ValueError(f"views.{name} is {asked}, but views.bank holds only {self.bank}")
        return self


class FeatureParameters(Group):
    """How the frozen backbone is applied."""

    scales: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(default=(1.0, 0.5), min_length=1)
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    batch_views: ViewsTogether = "auto"
    shard_images: Count = 64


class FlowParameters(Group):
    """DifferNet's normalizing flow (Eq. 3)."""

    blocks: Count = 4
    hidden: Count = 256
    layers: Count = 2
    clamp: Annotated[float, Field(gt=0)] = 3.0


class TrainingParameters(Group):
    """How a detector is trained; ``epochs`` is the budget every strategy spends."""

    batch_views: Count = 96
    learning_rate: Annotated[float, Field(gt=0)] = 2e-4
    weight_decay: Annotated[float, Field(ge=0)] = 1e-5
    epochs: Count = 24
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    processes: Count = 1


class PatchParameters(Group):
    """Patch features and the memory of the nearest-neighbour judge (decision 0028)."""

    size: Annotated[int, Field(ge=32, le=2048)] = 320
    aspect: Literal["square", "keep"] = "square"
    levels: Annotated[int, Field(ge=1, le=3)] = 2
    turns: Literal[1, 4] = 4
    per_image: Count = 40
    neighbours: Annotated[float, Field(gt=0, lt=1)] = 0.2
    worst: Count = 5
    references: Annotated[int, Field(ge=2)] = 128


def _as_judges(value: Any) -> Any:  # noqa: ANN401 - whatever the configuration holds
    """Accept a list, one name, several joined by ``+`` (``--params`` knows no lists), or nothing."""
    if value is None:
        return ()
    if isinstance(value, str):
        return tuple(name.strip() for name in value.split("+") if name.strip())
    return value


Judges = Annotated[tuple[str, ...], BeforeValidator(_as_judges)]


class RefinementParameters(Group):
    """The loop of Algorithm 1 (decisions 0001 to 0004, 0028 to 0030)."""

    policy: Literal["worst_only", "all_above"] = "all_above"
    max_removed_per_cycle: Annotated[float, Field(gt=0, le=1)] = 0.4
    restore: bool = True
    threshold: Literal["median_factor", "mad", "iqr", "false_discovery"] = "false_discovery"
    threshold_factor: Annotated[float, Field(gt=1)] = 3.5
    mad_factor: Annotated[float, Field(gt=0)] = 7.0
    iqr_factor: Annotated[float, Field(gt=0)] = 4.0
    false_discovery_rate: Annotated[float, Field(gt=0, le=0.5)] = 0.05
    tail_factor: Annotated[float, Field(gt=0)] = 1.06
    alone_factor: Annotated[float, Field(ge=1)] = 1.6
    apart_factor: Annotated[float, Field(ge=1)] = 2.0
    reference: Annotated[float, Field(gt=0, le=1)] = 0.75
    doubt: Annotated[float, Field(gt=0, le=1)] = 0.3
    resemblance: bool = True
    variants: bool = True
    scoring: Literal["in_sample", "held_out"] = "held_out"
    folds: Annotated[int, Field(ge=2, le=20)] = 5
    judge: Judges = ("patch_memory", "gaussian", "fine_patch_memory", "colour_memory")
    alone: Judges = ("patch_memory", "gaussian")
    judge_epochs: Count = 6
    score: Literal["latent_energy", "negative_log_likelihood"] = "latent_energy"
    pretrain_epochs: Annotated[int, Field(ge=0)] = 0
    epochs_per_cycle: Annotated[int, Field(ge=0)] = 0
    max_cycles: Annotated[int, Field(ge=0)] = 2
    max_removed_fraction: Fraction = 0.4
    patience: Count = 1
    checkpoint_every: Count = 1
    review: Text = ""


class Parameters(Group):
    """The whole tree, as conf/ and ``--params`` spell it."""

    dataset: DatasetParameters = DatasetParameters()
    sample: SampleParameters = SampleParameters()
    on_duplicate: Literal["drop", "error", "keep"] = "drop"
    preparation: PreparationParameters = PreparationParameters()
    contamination: ContaminationParameters = ContaminationParameters()
    backbone: str = "efficientnet_lite0"
    views: ViewParameters = ViewParameters()
    features: FeatureParameters = FeatureParameters()
    patches: PatchParameters = PatchParameters()
    detector: str = "differnet"
    flow: FlowParameters = FlowParameters()
    training: TrainingParameters = TrainingParameters()
    refinement: RefinementParameters = RefinementParameters()
    evaluation: EvaluationParameters = EvaluationParameters()
    calibration: CalibrationParameters = CalibrationParameters()
    reporting: ReportingParameters = ReportingParameters()
    lineage: LineageParameters = LineageParameters()
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")] = "auto"
    seed: int = Field(default=0, ge=0)
    data_root: str = "data"
    cell: Folder = ""
    grid: Folder = ""

    @model_validator(mode="after")
    def _budget_holds_the_loop(self) -> Self:
        loop = self.refinement
        spent = loop.pretrain_epochs + loop.max_cycles * loop.epochs_per_cycle
        refit = loop.max_cycles > 0 and loop.epochs_per_cycle == 0
        if spent > self.training.epochs or (refit and spent == self.training.epochs):
            raise ValueError(
                f"refinement.pretrain_epochs + refinement.max_cycles x refinement.epochs_per_cycle is {spent}, "
                f"above training.epochs = {self.training.epochs}, the budget every strategy shares"
            )
        judges_itself = self.detector in (loop.judge or (self.detector,))
        if loop.scoring == "in_sample" and judges_itself and loop.pretrain_epochs == 0 and loop.max_cycles:
            raise ValueError(
                "refinement.pretrain_epochs is 0, but with refinement.scoring: in_sample the trained detector "
                "judges its own training images; give it epochs before the first cycle"
            )
        if loop.threshold == "median_factor" and len(loop.judge) > 1:
            raise ValueError(
                f"refinement.threshold is median_factor, but the scores of {'+'.join(loop.judge)} have their "
                "median near 0; take one judge or another threshold"
            )
        return self


def check_parameters(raw: Mapping[str, Any]) -> Parameters:
    """Build the parameter tree from merged configuration, or name every fault in one message.

    Raises:
        ParameterError: an unknown key at any depth, a wrong type or a value out of range.
    """
    try:
        return Parameters.model_validate(dict(raw), strict=False)
    except ValidationError as error:
        lines = [f"  - {_fault_line(fault)}" for fault in error.errors()]
        count = "1 fault" if len(lines) == 1 else f"{len(lines)} faults"
        raise ParameterError("\n".join([f"{count} in the parameters:", *lines])) from error


def _fault_line(fault: Any) -> str:  # noqa: ANN401 - pydantic's ErrorDetails
    key = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        return f"{key} is no parameter; {_nearest_key(fault['loc'])}"
    message = str(fault["msg"]).removeprefix("Value error, ")
    if not key:
        return message
    return f"{key} = {fault['input']!r}: {message}"


def _nearest_key(loc: tuple[str | int, ...]) -> str:
    model: type[BaseModel] = Parameters
    for part in loc[:-1]:
        annotation = model.model_fields[str(part)].annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            model = annotation
    prefix = ".".join(str(part) for part in loc[:-1])
    hint = nearest(str(loc[-1]), model.model_fields)
    return f"in '{prefix}': {hint}" if prefix else hint
