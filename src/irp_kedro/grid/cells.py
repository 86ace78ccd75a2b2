"""From a plan to its cells: merged parameters, each result once."""

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from irp_kedro.config_loader import checked
from irp_kedro.detectors.registry import needs_colours, needs_fine_patches, needs_patches
from irp_kedro.errors import GridError, ParameterError
from irp_kedro.grid.axes import Labels, group_of, keys_of, set_name, variant_of
from irp_kedro.grid.overrides import dotted, merged, nested
from irp_kedro.grid.plan import GridPlan
from irp_kedro.naming import cell_name, result_digest
from irp_kedro.parameters import Parameters

# They say where work is done and kept, so that cells that differ in nothing else would be one.
CHANGE_NO_RESULT = ("cell", "grid", "data_root", "lineage", "device")


@dataclass(frozen=True, kw_only=True)
class GridCell:
    """One experiment of a grid.

    Attributes:
        labels: its value on each axis, and its seed.
        set: name of its set of images: the label of the axis that chooses it, or its class or source.
        variant: what sets it apart from cells of the same set, level, detector and seed.
        overrides: nested parameters on top of the environment's, as a session takes them.
        parameters: all of them, merged and checked.
    """

    labels: Labels
    set: str
    variant: str
    overrides: Mapping[str, Any]
    parameters: Parameters

    @cached_property
    def digest(self) -> str:
        """8 hex digits of every parameter that can change the result."""
        return result_digest(self.parameters)

    @property
    def name(self) -> str:
        """Folder of its files."""
        return cell_name(self.parameters)

    @property
    def banks(self) -> tuple[str, ...]:
        """4 hex digits of each of its feature banks, the same for all cells that share it."""
        told = self.parameters
        images = {
            "dataset": told.dataset.model_dump(),
            "sample": told.sample.model_dump() if told.dataset.name == "sample" else None,
            "crop": told.preparation.crop,
            "align": told.preparation.align,
            "backbone": told.backbone,
            "precision": told.features.precision,
        }
        pooled = [told.preparation.size, told.views.bank, told.features.scales]
        patches: list[object] = [
            told.patches.size,
            told.patches.aspect,
            told.patches.levels,
            told.patches.turns,
        ]
        asking = [told.detector, *told.refinement.judge]
        kinds = [{"pooled": pooled}]
        if needs_patches(asking):
            kinds.append({"patches": patches})
        if needs_fine_patches(asking):
            kinds.append({"fine_patches": patches})  # beside the others in the store
        if needs_colours(asking):
            kinds.append({"colours": [told.patches.size, told.patches.aspect]})
        return tuple(_digest({**images, **kind}) for kind in kinds)


def expand(plan: GridPlan, base: Mapping[str, Any], params: Mapping[str, Any]) -> list[GridCell]:
    """Return the cells of a plan in the order in which they run: the first seed of everything first.

    Args:
        plan: the grid.
        base: parameters of the environment.
        params: on top of all others, as of ``--params``.

    Raises:
        GridError: ``params`` names an axis, or an axis would change no result.
        ParameterError: a cell has parameters that no run would accept; names the cell.
    """
    _refuse_axes(plan, params)
    cells: dict[str, GridCell] = {}
    for seed in plan.seeds:
        for choice in itertools.chain(_combinations(plan), plan.include):
            cell = _build(plan, base, params, {"seed": seed, **choice})
            if cell.digest not in cells and not any(_agrees(cell, rule) for rule in plan.exclude):
                cells[cell.digest] = cell
    if not cells:
        raise GridError(f"Grid '{plan.name}' has no cell: exclude leaves nothing.")
    return list(cells.values())


def _digest(tree: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()[:4]


def _combinations(plan: GridPlan) -> Iterator[dict[str, Any]]:
    if not plan.axes and plan.include:
        return  # the cells are listed one by one
    for values in itertools.product(*plan.axes.values()):
        yield dict(zip(plan.axes, values, strict=True))


def _build(
    plan: GridPlan, base: Mapping[str, Any], params: Mapping[str, Any], choice: Mapping[str, Any]
) -> GridCell:
    chosen: dict[str, Any] = {}
    for name, value in choice.items():
        axis = plan.axes.get(name)
        chosen |= group_of(name, axis, value) if isinstance(axis, dict) else {name: value}
    overrides = merged(merged(nested(plan.params), nested(chosen)), params)
    labels = {name: str(value) for name, value in choice.items()}
    try:
        parameters = checked(merged(base, overrides))
    except ParameterError as error:
        where = ", ".join(f"{name} {label}" for name, label in labels.items())
        raise ParameterError(f"Cell with {where}: {error}") from error
    return GridCell(
        labels=labels,
        set=set_name(plan, labels, parameters),
        variant=variant_of(plan, labels),
        overrides=overrides,
        parameters=parameters,
    )


def _refuse_axes(plan: GridPlan, params: Mapping[str, Any]) -> None:
    for name, axis in plan.axes.items():
        for key in sorted(keys_of(name, axis)):
            if key.split(".")[0] in CHANGE_NO_RESULT:
                raise GridError(
                    f"Axis '{name}' sets {key}, which changes no result: its cells would be one. "
                    "Give it to the whole grid: --params"
                )
            if key in dotted(params):
                raise GridError(
                    f"--params names {key}, which axis '{name}' of grid '{plan.name}' sets for each cell. "
                    "Change the grid's file instead."
                )
    if "cell" in plan.params or "cell" in params:
        raise GridError("`cell` would give all cells of the grid one folder; leave it out.")


def _agrees(cell: GridCell, rule: Mapping[str, Any]) -> bool:
    for key, value in rule.items():
        allowed = value if isinstance(value, list) else [value]
        label, found = cell.labels.get(key, ""), _parameter(cell.parameters, key)
        if not label and found is None:
            raise GridError(f"exclude names '{key}', which is neither an axis nor a parameter.")
        if label not in [str(value) for value in allowed] and found not in allowed:
            return False
    return True


def _parameter(parameters: Parameters, key: str) -> Any:  # noqa: ANN401 - of any type
    found: Any = parameters
    for part in key.split("."):
        found = getattr(found, part, None)
    return found
