import pandas as pd

from irp_kedro.reporting.grid_page import as_markdown

EXPERIMENT = {"variant": "-", "definition": "pool_fraction", "detector": "differnet"}


def auroc(**asked: object) -> pd.DataFrame:
    row = {"set": "pill", "strategy": "vanilla", "level": 0.1, "auroc": 0.8123}
    return pd.DataFrame([{**row, **EXPERIMENT, "auroc_seed_std": 0.0123, "cells": 2, **asked}])


def removals(**asked: object) -> pd.DataFrame:
    row = {"set": "pill", "strategy": "iterative_refinement", "level": 0.1}
    return pd.DataFrame([{**row, **EXPERIMENT, "good": 1.5, "bad": 7.0, **asked}])


SPREAD = pd.DataFrame({"dataset": ["mvtec_ad"], "variant": ["-"], "auroc": [0.8], "classes": [2]})
COMPARISON = pd.DataFrame({"set": ["pill"], "variant": ["-"], "auroc": [0.7], "paper_auroc": [0.858]})
RECOVERY = pd.DataFrame(
    {
        **{"set": ["pill"], "variant": ["-"], "level": [0.1], "definition": ["pool_fraction"]},
        **{
            "detector": ["differnet"],
            "configuration": ["c1"],
            "strategy": ["iterative_refinement"],
            "cells": [2],
        },
        **{"vanilla": [0.7], "refined": [0.8], "oracle": [0.9], "gain": [0.1], "lost": [0.2]},
        **{"lost_error": [0.01], "recovery": [0.5]},
    }
)
NONE = pd.DataFrame({"classes": []})


def page(*tables: pd.DataFrame, note: str = "") -> list[str]:
    found = dict(enumerate(tables))
    return as_markdown(
        found.get(0, auroc()),
        found.get(1, removals()),
        found.get(2, pd.DataFrame()),
        found.get(3, NONE),
        found.get(4, pd.DataFrame()),
        grid="mine",
        note=note,
    ).splitlines()


def test_tables_1_and_2_have_a_row_a_level() -> None:
    lines = page()
    assert lines[0] == "# Grid mine"
    assert "| pill | 0.1 | 0.812 ± 0.012 | 2 |" in lines
    assert "| 0.1 | iterative_refinement | 1.5 / 7 |" in lines
    assert "| 0.1 | iterative_refinement | 2.3 / 1000000 |" in page(auroc(), removals(good=7 / 3, bad=1e6))
    assert "| 0.1 | iterative_refinement | - |" in page(auroc(), removals(good=float("nan")))


def test_one_seed_has_no_spread_and_an_unknown_figure_is_a_dash() -> None:
    assert "| pill | 0.1 | 0.812 | 1 |" in page(auroc(auroc_seed_std=float("nan"), cells=1))
    assert "| pill | 0.1 | - | 2 |" in page(auroc(auroc=float("nan")))


def test_a_set_without_a_strategy_has_a_dash_in_its_column() -> None:
    both = pd.concat([auroc(), auroc(set="screw", strategy="oracle")])
    lines = page(both, pd.concat([removals(), removals(set="screw", level=0.3)]))
    assert "| pill | 0.1 | 0.812 ± 0.012 | - | 2 |" in lines
    assert "| 0.3 | iterative_refinement | - | 1.5 / 7 |" in lines


def test_variants_have_tables_of_their_own_that_name_them() -> None:
    lines = page(pd.concat([auroc(variant="method=a"), auroc(variant="method=b")]))
    titles = [line for line in lines if line.startswith("## Table 1")]
    assert [title.split(":")[0] for title in titles] == ["## Table 1, method=a", "## Table 1, method=b"]


def test_detectors_and_definitions_have_tables_of_their_own_that_name_them() -> None:
    both = pd.concat([auroc(), auroc(detector="gaussian", auroc=0.5)])
    lines = page(both, pd.concat([removals(), removals(detector="gaussian", good=9.0)]))
    titles = [line.split(":")[0] for line in lines if line.startswith("## Table")]
    assert titles == [f"## Table {n}, {name}" for name in ("differnet", "gaussian") for n in (1, 2)]
    for row in ("| pill | 0.1 | 0.812 ± 0.012 | 2 |", "| pill | 0.1 | 0.500 ± 0.012 | 2 |"):
        assert row in lines
    for row in ("| 0.1 | iterative_refinement | 1.5 / 7 |", "| 0.1 | iterative_refinement | 9 / 7 |"):
        assert row in lines
    defined = page(pd.concat([auroc(), auroc(definition="added_fraction")]))
    assert any(line.startswith("## Table 1, added_fraction:") for line in defined)


def test_means_and_the_paper_s_figures_are_there_only_where_there_are_any() -> None:
    whole = page(auroc(), removals(), RECOVERY, SPREAD, COMPARISON, note="Reduced copies.")
    assert whole[2] == "Reduced copies."
    assert "| mvtec_ad | 0.8 | 2 |" in whole
    told = "pill | 0.1 | pool_fraction | differnet | c1 | iterative_refinement | 2"
    assert f"| {told} | 0.7 | 0.8 | 0.9 | 0.1 | 0.2 | 0.01 | 0.5 |" in whole
    assert "| pill | 0.7 | 0.858 |" in whole
    assert any("the paper's own" in line for line in whole)
    assert not [line for line in page() if "paper" in line or "Means" in line or "ecovery" in line]
