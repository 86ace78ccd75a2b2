"""Wiring of ``reporting``."""

import warnings

from kedro.pipeline import Node, Pipeline

from irp_kedro.parameters import STRATEGIES
from irp_kedro.pipelines.reporting import nodes

MAIN = "iterative_refinement"
GALLERY = ("removal_log", "suspicion_ranking", "cycle_history", "anomaly_maps", "judge_maps")
MEASURED = (*STRATEGIES, "oracle")
CELL_FIGURES = (
    "training_curves",
    "scores_by_cycle",
    "strategies_compared",
    "roc_curves",
    "fpr_at_95_tpr",
    "test_score_distribution",
    "defect_types",
)


def create_pipeline() -> Pipeline:
    """Return the pipeline: results -> figures, tables and pages of this cell and over all cells found."""
    with warnings.catch_warnings():
        # Kedro cautions against dots in names; here they are those of the strategies' own namespaces.
        warnings.filterwarnings("ignore", message="One or more dataset names contain")
        return _wired()


def _wired() -> Pipeline:
    return Pipeline(
        [*_cell_nodes(), *_overview_nodes()],
        inputs={f"{name}_{entry}": f"{name}.{entry}" for name, entry in _of_strategies()},
        tags="reporting",
    )


def _of_strategies() -> list[tuple[str, str]]:
    entries = ("snapshots", "metrics_by_type", "test_scores")
    main = (*GALLERY, "lineage")
    each = [(name, entry) for name in STRATEGIES for entry in entries]
    measured = [(name, entry) for name in MEASURED for entry in ("metrics", "roc_curve")]
    return [*measured, *each, *((MAIN, entry) for entry in main)]


def _cell_nodes() -> list[Node]:
    return [
        Node(nodes.record_parameters, name="record_parameters", inputs="parameters", outputs="cell_parameters"),
        Node(
            nodes.summarise_cell,
            name="summarise_cell",
            inputs={"cell_parameters": "cell_parameters", **{name: f"{name}_metrics" for name in MEASURED}},
            outputs=["summary_table", "report"],
        ),
        Node(
            nodes.draw_refinement,
            name="draw_refinement",
            inputs={
                "training_manifest": "training_manifest",
                **{name: f"{name}_snapshots" for name in STRATEGIES},
            },
            outputs=["training_curves", "scores_by_cycle"],
        ),
        Node(
            nodes.draw_detection,
            name="draw_detection",
            inputs={
                "summary_table": "summary_table",
                "test_manifest": "test_manifest",
                **{f"{name}_roc": f"{name}_roc_curve" for name in MEASURED},
                **{f"{name}_metrics": f"{name}_metrics" for name in MEASURED},
                **{f"{name}_types": f"{name}_metrics_by_type" for name in STRATEGIES},
                **{f"{name}_scores": f"{name}_test_scores" for name in STRATEGIES},
            },
            outputs=[
                "strategies_compared",
                "roc_curves",
                "fpr_at_95_tpr",
                "test_score_distribution",
                "defect_types",
            ],
        ),
        Node(
            nodes.collect_gallery,
            name="collect_gallery",
            inputs={
                **{entry: f"{MAIN}_{entry}" for entry in GALLERY},
                "prepared_images": "prepared_images",
                "reporting": "params:reporting",
            },
            outputs="gallery",
        ),
        Node(
            nodes.write_cell_page,
            name="write_cell_page",
            inputs={
                **{
                    entry: entry
                    for entry in ("summary_table", "cell_parameters", "gallery", "review", *CELL_FIGURES)
                },
                "prepared_images": "prepared_images",
                **{entry: f"{MAIN}_{entry}" for entry in ("cycle_history", "lineage")},
                **{f"{name}_metrics": f"{name}_metrics" for name in MEASURED},
                **{f"{name}_types": f"{name}_metrics_by_type" for name in STRATEGIES},
            },
            outputs="report_page",
        ),
    ]


def _overview_nodes() -> list[Node]:
    return [
        Node(
            nodes.tabulate_cells,
            name="tabulate_cells",
            # The cell's own table is an input too, so that it is written before all of them are read.
            inputs={name: name for name in ("summary_table", "cell_results", "paper_results")},
            outputs=[
                "auroc_by_contamination",
                "removals_by_contamination",
                "table_1",
                "table_2",
                "recovery_by_contamination",
            ],
        ),
        Node(
            nodes.draw_cells,
            name="draw_cells",
            inputs={
                "auroc": "auroc_by_contamination",
                "removals": "removals_by_contamination",
                "paper_results": "paper_results",
            },
            outputs=["auroc_figure", "removals_figure"],
        ),
        Node(
            nodes.write_overview,
            name="write_overview",
            inputs={
                **{entry: entry for entry in ("cell_results", "table_1", "table_2")},
                **{entry: entry for entry in ("auroc_figure", "removals_figure")},
                "recovery": "recovery_by_contamination",
            },
            outputs="overview_page",
        ),
    ]
