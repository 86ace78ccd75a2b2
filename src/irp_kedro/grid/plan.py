"""A grid as its file says it: axes over parameters, seeds, and what to leave in and out."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator
from yaml import YAMLError

from irp_kedro.errors import GridError, nearest
from irp_kedro.measuring_parameters import Text
from irp_kedro.parameters import Parameters

Axis = list[Any] | dict[str, dict[str, Any]]
# A key whose value is left empty in YAML is None.
Emptiable = BeforeValidator(lambda value: {} if value is None else value)


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class ImageCounts(_Part):
    """How many images a set has, before any of it is on disk.

    Attributes:
        normal: normal training images.
        defects: what a contamination level is a fraction of (decision 0006).
        all: every image, each of which passes the backbone once.
    """

    normal: Annotated[int, Field(ge=1)]
    defects: Annotated[int, Field(ge=0)]
    all: Annotated[int, Field(ge=1)]


class AssumedCost(_Part):
    """What the time of a grid is reckoned from while none of its cells has finished.

    Attributes:
        extraction_views_per_second: rotated views through the backbone; a view of a heat map costs three.
        training_views_per_second: views in a training step of the detector; a score costs a third.
        images: of each set, by the name of the set.
        basis: where the rates come from, printed with the estimate.
    """

    extraction_views_per_second: Annotated[float, Field(gt=0)]
    training_views_per_second: Annotated[float, Field(gt=0)]
    images: dict[str, ImageCounts]
    basis: str


class GridPlan(_Part):
    """A grid.

    Attributes:
        name: of the folder with its results.
        note: printed with the tables: what a reader must know about these sets.
        env: Kedro's environment below the parameters, as of ``kedro run --env``.
        seeds: every combination is run with each of them.
        params: parameters of every cell, nested or dotted.
        axes: a dotted parameter and its values; or a name of your own and, for each of its labels, a group of
            parameters that go together.
        include: further cells, each by its values of axes and parameters; run with every seed.
        exclude: combinations left out, each by values of axes and parameters that must all agree.
        cost: for an estimate before any cell has finished.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    note: Text = ""
    env: Text = ""
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)] = (0,)
    params: Annotated[dict[str, Any], Emptiable] = {}
    axes: Annotated[dict[str, Axis], Emptiable] = {}
    include: list[dict[str, Any]] = []
    exclude: list[dict[str, Any]] = []
    cost: AssumedCost | None = None

    @field_validator("axes")
    @classmethod
    def _axes_have_values(cls, axes: dict[str, Axis]) -> dict[str, Axis]:
        for name, values in axes.items():
            if not values:
                raise ValueError(f"axis {name} has no value")
            if isinstance(values, dict) and name in Parameters.model_fields:
                raise ValueError(f"axis {name} has labels, so it needs a name that is no parameter's")
            if name == "seed":
                raise ValueError("seeds have a list of their own: seeds: [0, 1]")
        return axes


def read_plan(path: Path, variables: Mapping[str, str]) -> GridPlan:
    """Return the grid of a file, with the values of its ``${variables.NAME}`` filled in.

    Raises:
        GridError: there is no such file, a variable has no value, or a key or value is none of a grid's.
    """
    try:
        content = OmegaConf.load(path)
    except (OSError, YAMLError) as error:
        raise GridError(f"No grid can be read from '{path}': {error}") from error
    if not isinstance(content, DictConfig):
        raise GridError(
            f"'{path}' is no grid: it must hold name, axes and seeds, see conf/base/grid_sample.yml."
        )
    grid: dict[str, Any] = OmegaConf.to_container(content)  # type: ignore[assignment]
    known = {**(grid.pop("variables", None) or {})}
    for name in variables:
        if name not in known:
            raise GridError(
                f"'{name}' is no variable of '{path}'; {nearest(name, known) if known else 'it has none'}"
            )
    values = {**known, **variables}
    missing = [name for name, value in values.items() if value == MISSING]
    if missing:
        given = " ".join(f"--set {name}=VALUE" for name in missing)
        raise GridError(f"Variables of '{path}' have no value: {', '.join(missing)}. Give them: {given}")
    return _validate(path, _resolved(path, {"variables": values, "grid": grid}))


def _resolved(path: Path, content: Mapping[str, Any]) -> Any:  # noqa: ANN401 - whatever the file holds
    try:
        return OmegaConf.to_container(OmegaConf.create(dict(content)), resolve=True)["grid"]  # type: ignore[index,call-overload]
    except OmegaConfBaseException as error:
        raise GridError(f"'{path}' cannot be resolved: {error}") from error


def _validate(path: Path, content: Any) -> GridPlan:  # noqa: ANN401 - whatever the file holds
    try:
        return GridPlan.model_validate(content)
    except ValidationError as error:
        lines = [_fault_line(fault) for fault in error.errors()]
        raise GridError("\n".join([f"'{path}' is no grid:", *[f"  - {line}" for line in lines]])) from error


def _fault_line(fault: Any) -> str:  # noqa: ANN401 - pydantic's ErrorDetails
    key = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden" and len(fault["loc"]) == 1:
        return f"{key} is no key of a grid; {nearest(key, GridPlan.model_fields)}"
    return f"{key}: {str(fault['msg']).removeprefix('Value error, ')}"
