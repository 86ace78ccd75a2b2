import pandas as pd
import pytest

from irp_kedro.reporting.paper_tables import table_1, table_2


def row(level: float, strategy: str, **values: object) -> dict[str, object]:
    return {
        "dataset": "mvtec_ad",
        "product_class": "pill",
        "definition": "pool_fraction",
        "detector": "differnet",
        "configuration": "c1",
        "level": level,
        "strategy": strategy,
        **values,
    }


AUROC = pd.DataFrame(
    [
        row(0.3, "vanilla", auroc=0.70, auroc_seed_std=0.02),
        row(0.3, "iterative_refinement", auroc=0.80, auroc_seed_std=0.04),
        row(0.3, "vanilla", auroc=0.60, auroc_seed_std=0.04, product_class="screw"),
        row(0.15, "vanilla", auroc=0.75, auroc_seed_std=float("nan")),
    ]
)


def test_table_1_has_a_row_a_level_and_strategy_and_a_column_a_set() -> None:
    table = table_1(AUROC).set_index(["level", "source", "strategy"])
    vanilla = table.loc[(0.3, "ours", "vanilla")]
    assert (vanilla["pill"], vanilla["screw"]) == (0.70, 0.60)
    assert vanilla["mean"] == pytest.approx(0.65)
    # Spread over sets and over seeds stand apart.
    assert vanilla["set_std"] == pytest.approx(0.0707, abs=1e-4)
    assert vanilla["seed_std"] == pytest.approx(0.03)


def test_the_paper_s_figures_stand_beside_ours_for_sets_and_levels_that_we_have_and_say_so() -> None:
    table = table_1(AUROC).set_index(["level", "source", "strategy"])
    papers = table.xs("paper", level="source")
    assert papers[["pill", "screw"]].to_numpy().tolist() == [[0.8016, 0.8234]]
    assert list(papers.index) == [(0.3, "iterative_refinement")]


def test_cells_of_another_configuration_are_not_averaged_with_these() -> None:
    other = pd.concat([AUROC, pd.DataFrame([row(0.3, "vanilla", auroc=0.1, configuration="c2")])])
    table = table_1(other)
    ours = table[(table["source"] == "ours") & (table["strategy"] == "vanilla") & (table["level"] == 0.3)]
    assert dict(zip(ours["configuration"], ours["pill"], strict=True)) == {"c1": 0.70, "c2": 0.10}


def test_table_2_has_good_and_bad_side_by_side() -> None:
    removals = pd.DataFrame([row(0.1, "iterative_refinement", good=2.0, bad=9.0)])
    table = table_2(removals).set_index("source")
    assert table.loc["ours", ["pill good", "pill bad"]].tolist() == [2, 9]
    assert table.loc["paper", ["pill good", "pill bad"]].tolist() == [9, 8]


def test_without_labels_the_tables_are_empty() -> None:
    nothing = pd.DataFrame([row(0.1, "vanilla", auroc=None, auroc_seed_std=None, good=None, bad=None)])
    assert table_1(nothing.astype({"auroc": float, "auroc_seed_std": float}))["source"].ne("ours").all()
    assert table_2(nothing.astype({"good": float, "bad": float}))["source"].ne("ours").all()
