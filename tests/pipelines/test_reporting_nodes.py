from typing import Any

import pandas as pd
import pytest

from irp_kedro.errors import IncompleteRunError, ParameterError
from irp_kedro.parameters import STRATEGIES, Parameters
from irp_kedro.pipelines.reporting.nodes import record_parameters, summarise_cell, tabulate_cells

ORACLE = {"available": True, "image": {"image_auroc": 0.9}}


def measured(auroc: float) -> dict[str, Any]:
    return {
        "image": {"image_auroc": auroc},
        "removals": {"n_removed": 2},
        "achieved_contamination": 0.2,
        "loop": {"cycles": 1},
        "cost": {"refinement_seconds": 1.0},
    }


def summary_of(seed: int) -> pd.DataFrame:
    metrics = {strategy: measured(0.5 + seed / 10) for strategy in STRATEGIES}
    return summarise_cell(record_parameters({"seed": seed}), **metrics, oracle=ORACLE)[0]


def test_the_recorded_parameters_are_complete() -> None:
    recorded = record_parameters({"seed": 5})
    assert recorded == Parameters(seed=5).model_dump(mode="json")


def test_an_unknown_parameter_is_not_recorded_but_refused() -> None:
    with pytest.raises(ParameterError, match="sead is no parameter; did you mean 'seed'"):
        record_parameters({"sead": 5})


def test_a_cell_is_summed_up_as_a_table_and_as_a_page() -> None:
    metrics = dict(zip(STRATEGIES, map(measured, (0.6, 0.7, 0.8)), strict=True))
    summary, page = summarise_cell(record_parameters({}), **metrics, oracle=ORACLE)
    aurocs = dict(zip(summary["strategy"], summary["image_auroc"], strict=True))
    assert aurocs == {**dict(zip(STRATEGIES, (0.6, 0.7, 0.8), strict=True)), "oracle": 0.9}
    assert all(f"| {strategy} |" in page for strategy in aurocs)


def test_the_tables_over_all_cells_take_every_cell_found(paper_results: pd.DataFrame) -> None:
    both = pd.concat([summary_of(0), summary_of(1)])
    auroc, removals, *_ = tabulate_cells(summary_of(1), both, paper_results)
    assert auroc["cells"].tolist() == [2] * 4
    assert set(removals["strategy"]) == {"one_shot_removal", "iterative_refinement"}


def test_tables_without_the_cell_just_summarised_are_refused(paper_results: pd.DataFrame) -> None:
    with pytest.raises(IncompleteRunError, match="cell_results lacks"):
        tabulate_cells(summary_of(0), pd.DataFrame(), paper_results)


def test_a_cell_alone_has_tables_of_its_own(paper_results: pd.DataFrame) -> None:
    auroc, *_ = tabulate_cells(summary_of(0), summary_of(0), paper_results)
    assert auroc["cells"].tolist() == [1] * 4
