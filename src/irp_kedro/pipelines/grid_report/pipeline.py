"""Wiring of ``grid_report``."""

from kedro.pipeline import Node, Pipeline

from irp_kedro.pipelines.grid_report import nodes


def create_pipeline() -> Pipeline:
    """Return the pipeline: ``grid_cells`` -> ``grid_results``, tables, figures and a page over them."""
    return Pipeline(
        [
            Node(nodes.collect_grid, name="collect_grid", inputs="grid_cells", outputs="grid_results"),
            Node(
                nodes.tabulate_grid,
                name="tabulate_grid",
                inputs={"grid_results": "grid_results", "paper_results": "paper_results"},
                outputs=[
                    "grid_auroc_by_contamination",
                    "grid_removals_by_contamination",
                    "grid_recovery_by_contamination",
                    "grid_class_spread",
                    "paper_comparison",
                ],
            ),
            Node(
                nodes.draw_grid,
                name="draw_grid",
                inputs={"grid_results": "grid_results", "paper_results": "paper_results"},
                outputs=[
                    "grid_impact_figure",
                    "grid_sources_figure",
                    "grid_sets_figure",
                    "grid_removals_figure",
                ],
            ),
            Node(
                nodes.write_grid_report,
                name="write_grid_report",
                inputs={
                    "grid_cells": "grid_cells",
                    "auroc": "grid_auroc_by_contamination",
                    "removals": "grid_removals_by_contamination",
                    "recovery": "grid_recovery_by_contamination",
                    "spread": "grid_class_spread",
                    "comparison": "paper_comparison",
                },
                outputs="grid_report",
            ),
        ],
        tags="grid_report",
    )
