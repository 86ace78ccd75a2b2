from typing import Any

import pandas as pd
import pytest

from irp_kedro.reporting.paper_tables import table_1, table_2

CLASSES = ["capsule", "cable", "metal_nut", "pill", "screw", "zipper"]


def row(level: float, strategy: str, *, set_name: str = "pill", **values: object) -> dict[str, object]:
    return {
        "dataset": "mvtec_ad",
        "product_class": set_name,
        "set_name": set_name,
        "set_digest": f"digest of {set_name}",
        "definition": "pool_fraction",
        "detector": "differnet",
        "configuration": "c1",
        "level": level,
        "strategy": strategy,
        "auroc_seed_std": 0.01,
        **values,
    }


AUROC = pd.DataFrame(
    [
        row(0.3, "vanilla", auroc=0.70, auroc_seed_std=0.02),
        row(0.3, "iterative_refinement", auroc=0.80, auroc_seed_std=0.04),
        row(0.3, "vanilla", auroc=0.60, auroc_seed_std=0.04, set_name="screw"),
        row(0.15, "vanilla", auroc=0.75, auroc_seed_std=float("nan")),
    ]
)


def by_row(table: pd.DataFrame) -> pd.DataFrame:
    return table.set_index(["level", "source", "strategy"])


def test_table_1_has_a_row_a_level_and_strategy_and_a_column_a_set(paper_results: pd.DataFrame) -> None:
    table = table_1(AUROC, paper_results).set_index(["level", "source", "strategy"])
    vanilla = table.loc[(0.3, "ours", "vanilla")]
    assert (vanilla["pill"], vanilla["screw"]) == (0.70, 0.60)
    assert vanilla["mean"] == pytest.approx(0.65)
    # Spread over sets and over seeds stand apart.
    assert vanilla["set_std"] == pytest.approx(0.0707, abs=1e-4)
    assert vanilla["seed_std"] == pytest.approx(0.03)


def test_a_row_that_lacks_a_set_has_no_mean_over_sets(paper_results: pd.DataFrame) -> None:
    table = by_row(table_1(AUROC, paper_results))
    for lacking in ((0.3, "ours", "iterative_refinement"), (0.15, "ours", "vanilla")):
        assert table.loc[lacking, "pill"] > 0
        assert table.loc[lacking, ["mean", "set_std", "seed_std"]].isna().all()


def test_the_paper_has_a_mean_only_over_the_sets_that_ours_is_over(paper_results: pd.DataFrame) -> None:
    sample = row(0.3, "vanilla", auroc=0.9, auroc_seed_std=0.01, set_name="sample")
    for rows, mean in ((AUROC, (0.8016 + 0.8234) / 2), (pd.concat([AUROC, pd.DataFrame([sample])]), None)):
        papers = by_row(table_1(rows, paper_results)).loc[(0.3, "paper", "iterative_refinement")]
        assert papers["pill"] == 0.8016
        assert pd.isna(papers["mean"]) if mean is None else papers["mean"] == pytest.approx(mean)


@pytest.mark.parametrize(("classes", "whole"), [(CLASSES, True), (CLASSES[1:], False)])
def test_the_paper_s_mean_and_error_magnitude_stand_beside_ours_where_all_its_classes_do(
    paper_results: pd.DataFrame, classes: list[str], whole: bool
) -> None:
    ours = [row(0.5, "vanilla", auroc=0.6 + 0.1 * (name == "pill"), set_name=name) for name in classes]
    table = by_row(table_1(pd.DataFrame(ours), paper_results))
    measures = table[["mvtec_ad mean", "error_magnitude"]]
    assert measures.notna().all(axis=None) == measures.notna().any(axis=None) == whole
    if whole:
        assert measures.loc[(0.5, "paper", "iterative_refinement")].tolist() == [0.7193, 0.1099]
        values = pd.Series([0.7, *[0.6] * 5, 3.7 / 6])  # the classes and their mean
        assert measures.loc[(0.5, "ours", "vanilla")].tolist() == pytest.approx([3.7 / 6, values.std(ddof=0)])


def test_sets_of_one_name_have_columns_of_their_own(paper_results: pd.DataFrame) -> None:
    other = row(0.3, "vanilla", auroc=0.10) | {"set_digest": "another folder"}
    table = by_row(table_1(pd.concat([AUROC, pd.DataFrame([other])]), paper_results))
    vanilla = table.loc[(0.3, "ours", "vanilla")]
    assert vanilla[["pill (another folder)", "pill (digest of pill)"]].tolist() == [0.10, 0.70]
    assert vanilla["mean"] == pytest.approx((0.10 + 0.70 + 0.60) / 3)


def test_two_sets_that_nothing_tells_apart_are_never_averaged(paper_results: pd.DataFrame) -> None:
    cells = [row(0.3, "vanilla", auroc=value, setting=str(value)) | {"set_digest": ""} for value in (0.1, 0.7)]
    table = table_1(pd.DataFrame(cells), paper_results)
    assert (table["source"] != "ours").all()


@pytest.mark.parametrize("tabulate", [table_1, table_2])
@pytest.mark.parametrize(
    "changed", [{"definition": "added_fraction"}, {"set_name": "kolektor", "dataset": "ksdd2"}]
)
def test_the_paper_s_figures_stand_only_beside_cells_that_they_compare_with(
    paper_results: pd.DataFrame, tabulate: Any, changed: dict[str, Any]
) -> None:
    cell = row(0.1, "iterative_refinement", auroc=0.8, good=1.0, bad=2.0)
    assert "paper" in set(tabulate(pd.DataFrame([cell]), paper_results)["source"])
    assert set(tabulate(pd.DataFrame([cell | changed]), paper_results)["source"]) == {"ours"}


def test_a_level_of_one_set_does_not_call_for_the_paper_s_figure_of_another(
    paper_results: pd.DataFrame,
) -> None:
    cells = [row(0.1, "vanilla", auroc=0.8), row(0.2, "vanilla", auroc=0.7, set_name="screw")]
    papers = by_row(table_1(pd.DataFrame(cells), paper_results)).xs("paper", level="source")
    assert papers["pill"].dropna().tolist() == [0.8580]
    assert papers["screw"].dropna().tolist() == [0.8524]


def test_the_paper_s_figures_stand_beside_ours_for_sets_and_levels_that_we_have_and_say_so(
    paper_results: pd.DataFrame,
) -> None:
    table = table_1(AUROC, paper_results).set_index(["level", "source", "strategy"])
    papers = table.xs("paper", level="source")
    assert papers[["pill", "screw"]].to_numpy().tolist() == [[0.8016, 0.8234]]
    assert list(papers.index) == [(0.3, "iterative_refinement")]


def test_cells_of_another_configuration_are_not_averaged_with_these(paper_results: pd.DataFrame) -> None:
    other = pd.concat([AUROC, pd.DataFrame([row(0.3, "vanilla", auroc=0.1, configuration="c2")])])
    table = table_1(other, paper_results)
    ours = table[(table["source"] == "ours") & (table["strategy"] == "vanilla") & (table["level"] == 0.3)]
    assert dict(zip(ours["configuration"], ours["pill"], strict=True)) == {"c1": 0.70, "c2": 0.10}


def test_table_2_has_good_and_bad_side_by_side(paper_results: pd.DataFrame) -> None:
    removals = pd.DataFrame([row(0.1, "iterative_refinement", good=2.0, bad=9.0)])
    table = table_2(removals, paper_results).set_index("source")
    assert table.loc["ours", ["pill good", "pill bad"]].tolist() == [2, 9]
    assert table.loc["paper", ["pill good", "pill bad"]].tolist() == [9, 8]


def test_without_labels_the_tables_are_empty(paper_results: pd.DataFrame) -> None:
    nothing = pd.DataFrame([row(0.1, "vanilla", auroc=None, auroc_seed_std=None, good=None, bad=None)])
    nothing = nothing.astype(dict.fromkeys(("auroc", "auroc_seed_std", "good", "bad"), float))
    assert table_1(nothing, paper_results).empty
    assert table_2(nothing, paper_results).empty
