"""Nodes of ``reporting``."""

from typing import Any

import pandas as pd

from irp_kedro.errors import IncompleteRunError
from irp_kedro.parameters import check_parameters
from irp_kedro.reporting import tables


def record_parameters(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return every parameter of this cell, defaults included, as it was merged."""
    return check_parameters(parameters).model_dump(mode="json")


def summarise_cell(
    cell_parameters: dict[str, Any],
    vanilla: dict[str, Any],
    one_shot_removal: dict[str, Any],
    iterative_refinement: dict[str, Any],
    oracle: dict[str, Any],
) -> tuple[pd.DataFrame, str]:
    """Return the strategies side by side, as a table and as a page of Markdown."""
    metrics = {
        "vanilla": vanilla,
        "one_shot_removal": one_shot_removal,
        "iterative_refinement": iterative_refinement,
        "oracle": oracle,
    }
    summary = tables.summarise(cell_parameters, metrics)
    return summary, tables.as_markdown(summary)


def tabulate_cells(
    summary_table: pd.DataFrame, cell_results: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return AUROC and removals by contamination over all cells found (the paper's Tables 1 and 2)."""
    found = set(cell_results.get("cell", []))
    if not found.issuperset(summary_table["cell"]):
        raise IncompleteRunError(
            f"cell_results lacks {summary_table['cell'].iloc[0]}, just summarised: in the catalog its "
            "filepath must be the folder that holds the cells' folders."
        )
    return tables.auroc_by_contamination(cell_results), tables.removals_by_contamination(cell_results)
