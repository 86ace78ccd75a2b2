"""Nodes of ``grid_report``."""

from typing import Any

import pandas as pd

from irp_kedro.reporting import grid_figures, grid_page, grid_tables


def collect_grid(grid_cells: pd.DataFrame) -> pd.DataFrame:
    """Return one row a finished cell and strategy: what every table and figure of the grid is made from."""
    return grid_tables.named_apart(grid_cells)


def tabulate_grid(grid_results: pd.DataFrame, paper_results: pd.DataFrame) -> tuple[pd.DataFrame, ...]:
    """Return Tables 1 and 2, recovery, means over classes with both spreads, and the paper beside ours."""
    auroc = grid_tables.auroc_over_seeds(grid_results)
    removals = grid_tables.removals_over_seeds(grid_results)
    comparison = grid_tables.compare_with_paper(auroc, removals, paper_results)
    recovery = grid_tables.recovery_over_seeds(grid_results)
    return auroc, removals, recovery, grid_tables.spread_over_classes(grid_results), comparison


def draw_grid(grid_results: pd.DataFrame, paper_results: pd.DataFrame) -> tuple[Any, Any, Any, Any]:
    """Return the paper's Figures 1, 3, 4 and 5 from these cells, its own lines in grey."""
    return (
        grid_figures.impact(grid_results, paper_results),
        grid_figures.by_source(grid_results, paper_results),
        grid_figures.by_set(grid_results, paper_results),
        grid_figures.removals(grid_results, paper_results),
    )


def write_grid_report(
    grid_cells: pd.DataFrame,
    auroc: pd.DataFrame,
    removals: pd.DataFrame,
    recovery: pd.DataFrame,
    spread: pd.DataFrame,
    comparison: pd.DataFrame,
) -> str:
    """Return the tables as a page of Markdown."""
    name, note = str(grid_cells["grid"].iloc[0]), str(grid_cells.attrs.get("note", ""))
    return grid_page.as_markdown(auroc, removals, recovery, spread, comparison, grid=name, note=note)
