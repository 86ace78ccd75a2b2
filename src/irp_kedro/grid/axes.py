"""What the axes of a grid set, and how sets of images and variants are called after them."""

from collections.abc import Mapping
from typing import Any

from irp_kedro.errors import GridError
from irp_kedro.grid.overrides import dotted, nested
from irp_kedro.grid.plan import Axis, GridPlan
from irp_kedro.parameters import Parameters
from irp_kedro.reporting import sets
from irp_kedro.reporting.grid_tables import ONLY_VARIANT

# A table has columns for these; the values of all other axes make up its column `variant`.
HAVE_COLUMNS = {
    "dataset.name",
    "dataset.path",
    "dataset.product_class",
    "contamination.level",
    "contamination.definition",
    "contamination.on_shortage",  # of a level and definition that ask for it
    "detector",
    "seed",
}

Labels = Mapping[str, str]


def group_of(name: str, axis: Mapping[str, Any], label: Any) -> Mapping[str, Any]:  # noqa: ANN401 - as YAML has it
    """Return the parameters that a label of an axis stands for.

    Raises:
        GridError: it has no such label.
    """
    # YAML reads a label such as 0.1 as a number where it is used, and as text where it is a key.
    groups = {str(key): group for key, group in axis.items()}
    if str(label) not in groups:
        raise GridError(f"Axis '{name}' has no '{label}'; its labels are {', '.join(groups)}.")
    group: Mapping[str, Any] = groups[str(label)]
    return group


def keys_of(name: str, axis: Axis | None) -> set[str]:
    """Return the parameters that an axis sets, dotted."""
    if not isinstance(axis, dict):
        return {name}
    return {key for group in axis.values() for key in dotted(nested(group))}


def set_name(plan: GridPlan, labels: Labels, parameters: Parameters) -> str:
    """Return the label of the axis that chooses the images; without one what any cell calls them."""
    chosen = [label for name, label in labels.items() if _chooses_set(name, plan.axes.get(name))]
    return "-".join(chosen) or sets.set_name(parameters)


def variant_of(plan: GridPlan, labels: Labels) -> str:
    """Return what sets a cell apart from those of the same set, level, detector and seed."""
    told = {name: label for name, label in labels.items() if not _has_column(name, plan.axes.get(name))}
    return ", ".join(f"{name}={label}" for name, label in told.items()) or ONLY_VARIANT


def _has_column(name: str, axis: Axis | None) -> bool:
    keys = keys_of(name, axis)
    return _chooses_set(name, axis) or (bool(keys) and keys <= HAVE_COLUMNS)


def _chooses_set(name: str, axis: Axis | None) -> bool:
    return isinstance(axis, dict) and any(key.split(".")[0] == "dataset" for key in keys_of(name, axis))
