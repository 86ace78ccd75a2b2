"""How results are measured, shown and kept: the parameter groups that shape no refinement.

The base of every group and the types that groups share stand here too; :mod:`irp_kedro.parameters` builds the
tree.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, WrapValidator
from pydantic_core.core_schema import ValidatorFunctionWrapHandler

Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
# Kedro hands over the empty value of `--params dataset.path=` as None.
Text = Annotated[str, BeforeValidator(lambda value: "" if value is None else value)]
Folder = Annotated[Text, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$|^$")]


def _count_or_auto(value: Any, check: ValidatorFunctionWrapHandler) -> Any:  # noqa: ANN401 - whatever is given
    """Name one fault: a union names one for each of its kinds."""
    try:
        return check(value)
    except ValidationError:
        raise ValueError("should be auto, or a whole number of at least 1") from None


ViewsTogether = Annotated[Count | Literal["auto"], WrapValidator(_count_or_auto)]


class Group(BaseModel):
    """Base of every parameter group: immutable, unknown keys refused, no silent coercion of text."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class EvaluationParameters(Group):
    """How results are measured."""

    bootstrap_samples: Annotated[int, Field(ge=0)] = 1000
    false_alarm_rate: Annotated[float, Field(gt=0, lt=1)] = 0.05
    threshold_scores: Literal["held_out", "in_sample"] = "held_out"
    held_out_fraction: Annotated[float, Field(ge=0.1, le=0.9)] = 0.5
    maps: Literal["none", "removed", "all"] = "all"
    map_views: Count = 2
    map_images: Annotated[int, Field(ge=0)] = 50


class ReportingParameters(Group):
    """What the report shows; no result depends on it."""

    removed_images: Annotated[int, Field(ge=0)] = 200
    near_images: Annotated[int, Field(ge=0)] = 24
    thumbnail: Annotated[int, Field(ge=32, le=512)] = 160


class CalibrationParameters(Group):
    """How the threshold factor is chosen on a clean set."""

    false_removal_rate: Annotated[float, Field(ge=0, lt=1)] = 0.01
    factors: tuple[Annotated[float, Field(gt=0)], ...] = Field(
        default=(0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5), min_length=1
    )
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(default=(0, 1, 2), min_length=1)


class LineageParameters(Group):
    """Where and how every refined snapshot is versioned (decisions 0024 to 0026)."""

    root: str = Field(default="data/lineage", min_length=1)
    mode: Literal["dvc", "plain"] = "dvc"
    content: Literal["source", "prepared"] = "source"
    link: Literal["copy", "hardlink"] = "copy"
    tree_every: Count = 1
