import io
from typing import Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from irp_kedro.naming import cell_name
from irp_kedro.parameters import STRATEGIES, check_parameters
from irp_kedro.reporting import tables
from irp_kedro.reporting.cell_tables import cost_table
from irp_kedro.reporting.charts import readable


def metrics_of(auroc: float | None, *, removed: int = 0, bad: int | None = None) -> dict[str, Any]:
    """Return the metrics of a strategy; ``auroc`` of ``None`` stands for unknown labels."""
    image: dict[str, Any] = {"labels_known": auroc is not None}
    removals: dict[str, Any] = {"n_removed": removed}
    if auroc is not None:
        image |= {"image_auroc": auroc, "image_auroc_interval": [auroc - 0.1, auroc + 0.05]}
        image |= {"average_precision": 0.5, "f1": 0.25}
    if bad is not None:
        removals |= {"bad_removed": bad, "good_removed": removed - bad, "precision": bad / removed}
    return {
        "image": image,
        "removals": removals,
        "achieved_contamination": None if auroc is None else 0.2,
        "loop": {"cycles": 3},
        "cost": {"refinement_seconds": 12.34, "images_extracted": 12, "extraction_seconds": 3.5},
    }


def cell(
    *, auroc: float | None = 0.8, oracle: float | None = 0.9, n_removed: int = 10, **raw: Any
) -> pd.DataFrame:
    """Return the summary of one cell, whose vanilla AUROC is ``auroc``; refinement gains 0.1."""
    labelled = auroc is not None
    refined = metrics_of(
        round(auroc + 0.1, 3) if auroc is not None else None, removed=n_removed, bad=8 if labelled else None
    )
    metrics = {
        "vanilla": metrics_of(auroc),
        "one_shot_removal": refined,
        "iterative_refinement": refined,
        "oracle": {"available": False}
        if oracle is None
        else {"available": True, "image": metrics_of(oracle)["image"], "seconds": 4.5},
    }
    return tables.summarise(raw, metrics)


def unlabelled() -> pd.DataFrame:
    return cell(auroc=None, oracle=None)


def test_a_summary_has_a_row_for_each_strategy_and_the_oracle_last() -> None:
    assert cell()["strategy"].tolist() == [*STRATEGIES, "oracle"]
    assert cell(oracle=None)["strategy"].tolist() == list(STRATEGIES)


def test_a_summary_carries_the_cell_and_the_numbers_that_were_measured() -> None:
    summary = cell(seed=3, contamination={"level": 0.1}).set_index("strategy")
    refined = summary.loc["iterative_refinement"]
    assert refined["cell"] == cell_name(check_parameters({"seed": 3, "contamination": {"level": 0.1}}))
    assert (refined["dataset"], refined["level"], refined["seed"]) == ("sample", 0.1, 3)
    assert refined["image_auroc"] == 0.9
    assert refined[["image_auroc_low", "image_auroc_high"]].tolist() == pytest.approx([0.8, 0.95])
    assert (refined["n_removed"], refined["bad_removed"], refined["good_removed"]) == (10, 8, 2)
    assert (refined["removal_precision"], refined["refinement_seconds"]) == (0.8, 12.34)
    assert refined["set_name"] == "sample"
    assert (refined["images_extracted"], refined["extraction_seconds"]) == (12, 3.5)


def test_the_oracle_has_image_metrics_and_no_removals() -> None:
    oracle = cell(oracle=0.95).set_index("strategy").loc["oracle"]
    assert oracle["image_auroc"] == 0.95
    assert np.isnan(oracle["n_removed"])
    assert oracle["refinement_seconds"] == 4.5


def test_memory_is_one_line_of_the_cost_and_no_column_by_strategy() -> None:
    summary = cell().assign(process_peak_memory_mb=[900.0, 1200.4, 1100.0, None])
    shown = cost_table(summary)
    assert shown.caption.endswith("The memory of the whole process peaked at 1200 MB.")
    assert not [name for name in shown.columns if "memory" in name]
    assert [row.cells[0] for row in shown.rows] == [*map(readable, STRATEGIES), "oracle"]
    assert "4.500" in shown.rows[-1].cells
    assert "memory" not in cost_table(cell()).caption


def test_a_summary_survives_the_file_it_is_kept_in() -> None:
    again = pd.read_csv(io.StringIO(cell().to_csv(index=False)))
    assert tables.as_markdown(again) == tables.as_markdown(cell())


def test_the_page_shows_every_strategy_and_explains_its_columns() -> None:
    page = tables.as_markdown(cell())
    assert page.startswith(f"# {cell()['cell'].iloc[0]}\n")
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert len({row.count("|") for row in rows}) == 1
    assert [row.split("|")[1].strip() for row in rows[2:]] == [*STRATEGIES, "oracle"]
    assert "0.900" in page
    header = [name.strip() for name in rows[0].split("|")[2:-1]]
    assert {"image AUROC", "F1", "removed"} <= set(header)
    assert "ranking AP" not in header  # nothing in that column
    assert "bootstrap" in page


def test_a_value_that_there_is_not_is_a_dash() -> None:
    oracle = next(line for line in tables.as_markdown(cell()).splitlines() if line.startswith("| oracle"))
    assert "| - |" in oracle
    assert "nan" not in oracle.lower()


def test_a_page_without_labels_says_so_and_shows_no_empty_column() -> None:
    page = tables.as_markdown(unlabelled())
    assert "No label was known" in page
    table = [line for line in page.splitlines() if line.startswith("|")]
    assert "removed" in table[0]
    assert "AUROC" not in table[0]


def test_the_description_names_level_definition_and_what_came_of_it() -> None:
    text = tables.describe(cell(contamination={"level": 0.3}))
    assert "0.3" in text
    assert "pool_fraction" in text
    assert "20.0 %" in text


@pytest.mark.parametrize("summary", [cell(), unlabelled()])
def test_the_terminal_shows_every_strategy(summary: pd.DataFrame) -> None:
    table = tables.as_terminal_table(summary)
    assert table.row_count == len(summary)
    console = Console(file=io.StringIO(), width=80, record=True)
    console.print(table)
    text = console.export_text()
    assert all(strategy in text for strategy in summary["strategy"])
    assert summary["cell"].iloc[0] in text


def test_auroc_is_averaged_over_seeds_and_their_spread_is_given() -> None:
    cells = pd.concat([cell(auroc=0.7, seed=0), cell(auroc=0.8, seed=1)])
    table = tables.auroc_by_contamination(cells).set_index("strategy")
    vanilla = table.loc["vanilla"]
    assert vanilla["auroc"] == pytest.approx(0.75)
    assert vanilla["auroc_seed_std"] == pytest.approx(0.05 * 2**0.5)
    assert vanilla["cells"] == 2
    assert set(table.index) == {*STRATEGIES, "oracle"}


@pytest.mark.parametrize(
    "other",
    [
        {"contamination": {"level": 0.1}},
        {"contamination": {"definition": "added_fraction"}},
        {"detector": "gaussian"},
        {"dataset": {"name": "ksdd2"}},
        {"dataset": {"product_class": "pill"}},
    ],
)
def test_different_experiments_stand_in_rows_of_their_own(other: dict[str, Any]) -> None:
    table = tables.auroc_by_contamination(pd.concat([cell(), cell(**other)]))
    assert table["cells"].tolist() == [1] * 8


def test_cells_that_differ_in_any_parameter_but_the_seed_are_not_averaged() -> None:
    cells = pd.concat([cell(auroc=0.7), cell(auroc=0.8, refinement={"mad_factor": 2.0})])
    assert tables.auroc_by_contamination(cells)["cells"].tolist() == [1] * 8


def test_removals_are_of_the_strategies_that_remove() -> None:
    cells = pd.concat([cell(n_removed=10, seed=0), cell(n_removed=14, seed=1)])
    table = tables.removals_by_contamination(cells).set_index("strategy")
    assert set(table.index) == {"one_shot_removal", "iterative_refinement"}
    assert table["good"].tolist() == [4.0, 4.0]
    assert table["bad"].tolist() == [8.0, 8.0]


def test_an_empty_class_read_back_from_a_file_does_not_lose_the_cell() -> None:
    again = pd.read_csv(io.StringIO(cell().to_csv(index=False)))
    assert again["product_class"].isna().all()
    assert tables.auroc_by_contamination(again)["cells"].tolist() == [1] * 4


@pytest.mark.parametrize("tabulate", [tables.auroc_by_contamination, tables.removals_by_contamination])
def test_cells_without_labels_have_rows_without_numbers(tabulate: Any) -> None:
    table = tabulate(unlabelled())
    assert len(table) > 0
    assert table["cells"].eq(1).all()
    assert table.filter(regex="^(auroc|good|bad)$").isna().to_numpy().all()
