"""Wiring of ``reporting``."""

import warnings

from kedro.pipeline import Node, Pipeline

from irp_kedro.parameters import STRATEGIES
from irp_kedro.pipelines.reporting import nodes

MEASURED = (*STRATEGIES, "oracle")


def create_pipeline() -> Pipeline:
    """Return the pipeline: metrics -> ``summary_table``, ``report`` and tables over all cells."""
    with warnings.catch_warnings():
        # Kedro cautions against dots in names; here they are those of the strategies' own namespaces.
        warnings.filterwarnings("ignore", message="One or more dataset names contain")
        return _wired()


def _wired() -> Pipeline:
    return Pipeline(
        [
            Node(
                nodes.record_parameters,
                name="record_parameters",
                inputs="parameters",
                outputs="cell_parameters",
            ),
            Node(
                nodes.summarise_cell,
                name="summarise_cell",
                inputs={
                    "cell_parameters": "cell_parameters",
                    **{name: f"{name}_metrics" for name in MEASURED},
                },
                outputs=["summary_table", "report"],
            ),
            Node(
                nodes.tabulate_cells,
                name="tabulate_cells",
                # The cell's own table is an input too, so that it is written before all of them are read.
                inputs={"summary_table": "summary_table", "cell_results": "cell_results"},
                outputs=["auroc_by_contamination", "removals_by_contamination"],
            ),
        ],
        inputs={f"{name}_metrics": f"{name}.metrics" for name in MEASURED},
        tags="reporting",
    )
