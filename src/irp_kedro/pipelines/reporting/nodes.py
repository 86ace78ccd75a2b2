"""Nodes of ``reporting``."""

from typing import Any

import pandas as pd

from irp_kedro.core.evaluation import nearly_removed, of_variants
from irp_kedro.core.manifest import as_manifest
from irp_kedro.core.recovery import recovery_by_contamination
from irp_kedro.errors import IncompleteRunError
from irp_kedro.measuring_parameters import ReportingParameters
from irp_kedro.parameters import STRATEGIES, check_parameters
from irp_kedro.reporting import (
    cell_curves,
    cell_figures,
    overview_figures,
    paper_tables,
    sets,
    tables,
    type_figures,
)


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


def draw_refinement(
    vanilla: list[Any],
    one_shot_removal: list[Any],
    iterative_refinement: list[Any],
    training_manifest: pd.DataFrame,
) -> tuple[Any, Any]:
    """Return training curves, and the scores of iterative refinement by cycle, labels joined where known."""
    snapshots = dict(zip(STRATEGIES, (vanilla, one_shot_removal, iterative_refinement), strict=True))
    cycles = {name: [cycle.record for cycle in kept] for name, kept in snapshots.items()}
    training = as_manifest(training_manifest)
    labels = dict(zip(training["image_id"], training["label"], strict=True))
    main = "iterative_refinement"
    return cell_figures.training_curves(cycles), cell_figures.scores_by_cycle(cycles[main], labels, main)


def draw_detection(
    summary_table: pd.DataFrame, test_manifest: pd.DataFrame, **by_strategy: Any
) -> tuple[Any, ...]:
    """Return strategies compared, ROC curves, FPR at 95 % TPR, test scores and types of defect.

    Args:
        summary_table: of this cell.
        test_manifest: labels of the test images.
        by_strategy: ``STRATEGY_roc``, ``STRATEGY_metrics``, ``STRATEGY_types`` and ``STRATEGY_scores`` of each
            strategy, the first two of ``oracle`` too.
    """
    labels = as_manifest(test_manifest)[["image_id", "label"]]
    tested: dict[str, pd.DataFrame] = {
        name: by_strategy[f"{name}_scores"].merge(labels, on="image_id") for name in STRATEGIES
    }
    measured = (*STRATEGIES, "oracle")
    curves: dict[str, pd.DataFrame] = {name: by_strategy[f"{name}_roc"] for name in measured}
    images = {name: by_strategy[f"{name}_metrics"].get("image", {}) for name in measured}
    return (
        cell_figures.strategies_compared(summary_table),
        cell_curves.roc_curves(curves),
        cell_curves.fpr_at_95_tpr(curves, images),
        cell_figures.test_score_distribution(tested),
        type_figures.defect_types({name: by_strategy[f"{name}_types"] for name in STRATEGIES}),
    )


def collect_gallery(
    removal_log: pd.DataFrame,
    suspicion_ranking: pd.DataFrame,
    cycle_history: pd.DataFrame,
    prepared_images: Any,
    anomaly_maps: Any,
    judge_maps: Any,
    reporting: ReportingParameters,
) -> list[Any]:
    """Return the images that left, in order, those that nearly did, and variants, as thumbnails."""
    from irp_kedro.reporting import gallery

    left = gallery.choose_removed(removal_log, suspicion_ranking, most=reporting.removed_images)
    near = nearly_removed(suspicion_ranking, cycle_history, most=reporting.near_images)
    variants = of_variants(suspicion_ranking, most=reporting.near_images)
    shown = [*left["image_id"], *near["image_id"], *variants["image_id"]]
    heat = gallery.HeatMaps.choose(shown, judge_maps, anomaly_maps)
    away, read = gallery.cycles_away(removal_log), prepared_images.in_their_shape().read
    return [
        image
        for rows, group in ((left, gallery.REMOVED), (near, gallery.NEAR), (variants, gallery.VARIANT))
        for image in gallery.show(rows, group, read, heat, side=reporting.thumbnail, away=away)
    ]


def write_cell_page(
    summary_table: pd.DataFrame,
    cell_parameters: dict[str, Any],
    cycle_history: pd.DataFrame,
    lineage: pd.DataFrame,
    gallery: list[Any],
    review: pd.DataFrame,
    prepared_images: Any,
    **named: Any,
) -> str:
    """Return this cell's report as one HTML file.

    Args:
        summary_table: one row a strategy.
        cell_parameters: complete.
        cycle_history: of iterative refinement.
        lineage: records of its snapshots.
        gallery: images to look at.
        review: decisions that this run honoured.
        prepared_images: say whether parts were laid level.
        named: ``STRATEGY_metrics``, ``STRATEGY_types``, ``oracle_metrics``, and figures by catalog name.
    """
    from irp_kedro.reporting.cell_page import CellResults, cell_page

    metrics = {name: named.pop(f"{name}_metrics") for name in (*STRATEGIES, "oracle")}
    types: dict[str, pd.DataFrame] = {name: named.pop(f"{name}_types") for name in STRATEGIES}
    results = CellResults(
        summary=sets.identified(summary_table),
        parameters=cell_parameters,
        metrics=metrics,
        types=types,
        history=cycle_history,
        lineage=lineage,
        gallery=gallery,
        review=review,
        figures=named,
        aligned=prepared_images.preparation.aligned is not None,
    )
    return cell_page(results)


def tabulate_cells(
    summary_table: pd.DataFrame, cell_results: pd.DataFrame, paper_results: pd.DataFrame
) -> tuple[pd.DataFrame, ...]:
    """Return AUROC and removals by contamination over all cells, in the paper's shape too, and recovery."""
    found = set(cell_results.get("cell", []))
    if not found.issuperset(summary_table["cell"]):
        raise IncompleteRunError(
            f"cell_results lacks {summary_table['cell'].iloc[0]}, just summarised: in the catalog its "
            "filepath must be the folder that holds the cells' folders."
        )
    auroc = tables.auroc_by_contamination(cell_results)
    removals = tables.removals_by_contamination(cell_results)
    shaped = paper_tables.table_1(auroc, paper_results), paper_tables.table_2(removals, paper_results)
    return auroc, removals, *shaped, recovery_by_contamination(sets.identified(cell_results))


def draw_cells(auroc: pd.DataFrame, removals: pd.DataFrame, paper_results: pd.DataFrame) -> tuple[Any, Any]:
    """Return AUROC and removals by contamination as figures, the paper's beside ours."""
    return (
        overview_figures.auroc_by_level(auroc, paper_results),
        overview_figures.removals_by_level(removals, paper_results),
    )


def write_overview(
    cell_results: pd.DataFrame,
    table_1: pd.DataFrame,
    table_2: pd.DataFrame,
    recovery: pd.DataFrame,
    auroc_figure: Any,
    removals_figure: Any,
) -> str:
    """Return the report over all cells found as one HTML file."""
    from irp_kedro.reporting.overview_page import OverviewResults, overview_page

    figures = {"auroc_figure": auroc_figure, "removals_figure": removals_figure}
    return overview_page(
        OverviewResults(
            cells=sets.identified(cell_results),
            table_1=table_1.fillna({"configuration": ""}),
            table_2=table_2.fillna({"configuration": ""}),
            recovery=sets.identified(recovery),
            figures=figures,
        )
    )
