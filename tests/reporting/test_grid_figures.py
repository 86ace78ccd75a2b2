import pandas as pd
import pytest

from irp_kedro.reporting.charts import Chart, Series
from irp_kedro.reporting.grid_figures import by_set, by_source, impact, removals
from irp_kedro.reporting.paper import MEAN, papers_means


def cells(*sets: tuple[str, str], seeds: tuple[int, ...] = (0, 1), variant: str = "-") -> pd.DataFrame:
    rows = [
        {
            "dataset": dataset,
            "set": name,
            "variant": variant,
            "definition": "pool_fraction",
            "detector": "differnet",
            "level": level,
            "seed": seed,
            "strategy": strategy,
            "image_auroc": 0.9 - level - 0.1 * place + 0.02 * seed,
            "bad_removed": 100 * level,
            "good_removed": seed,
        }
        for place, (dataset, name) in enumerate(sets)
        for level in (0.0, 0.3)
        for seed in seeds
        for strategy in ("vanilla", "one_shot_removal", "iterative_refinement", "oracle")
    ]
    return pd.DataFrame(rows)


PILL, SCREW, MINE = ("mvtec_ad", "pill"), ("mvtec_ad", "screw"), ("image_folder", "mine")


def titles(chart: Chart) -> list[str]:
    return [panel.title for panel in chart.panels]


def series(chart: Chart, panel: int = 0) -> dict[str, Series]:
    return {line.name: line for line in chart.panels[panel].series}


def test_figure_1_is_the_mean_over_all_sets_of_vanilla_refinement_and_oracle(
    paper_results: pd.DataFrame,
) -> None:
    chart = impact(cells(PILL, SCREW, MINE), paper_results)
    assert titles(chart) == ["mean of 3 sets"]
    lines = series(chart)
    assert list(lines) == ["vanilla", "iterative refinement", "oracle"]
    vanilla = lines["vanilla"]
    assert vanilla.x == [0.0, 30.0]
    assert vanilla.y == pytest.approx([0.81, 0.51])  # means over the sets, .8 and .82 with the two seeds
    assert vanilla.high[0] - vanilla.y[0] == pytest.approx(0.02 / 2**0.5)


def test_a_level_that_a_set_lacks_has_no_mean_over_sets(paper_results: pd.DataFrame) -> None:
    whole = cells(PILL, SCREW)
    partly = whole[~((whole["set"] == "screw") & (whole["level"] == 0.3))]
    assert series(impact(partly, paper_results))["vanilla"].x == [0.0]


def test_figure_3_has_a_panel_a_source_with_the_mean_over_its_classes(paper_results: pd.DataFrame) -> None:
    chart = by_source(cells(PILL, SCREW, MINE), paper_results)
    assert titles(chart) == ["mvtec_ad, mean of 2 sets", "image_folder"]
    assert len(series(chart)) == 5
    assert len(series(chart, 1)) == 4
    assert series(chart)["oracle"].y == pytest.approx([0.86, 0.56])


THEIRS = "iterative refinement, the paper's"


def test_figures_1_and_3_show_the_paper_s_mean_over_the_same_sets(paper_results: pd.DataFrame) -> None:
    both = cells(PILL, SCREW, ("ksdd2", "ksdd2"))
    line = series(impact(both, paper_results))[THEIRS]
    assert (line.x[0], line.y[0]) == (0.0, pytest.approx((0.8888 + 0.8938 + 0.9403) / 3))
    sources = by_source(both, paper_results)
    assert series(sources)[THEIRS].y[0] == pytest.approx((0.8888 + 0.8938) / 2)
    assert series(sources, 1)[THEIRS].y[0] == 0.9403


def test_the_mean_of_the_six_classes_is_what_the_paper_prints_but_for_its_rounding(
    paper_results: pd.DataFrame,
) -> None:
    printed = papers_means(paper_results)["auroc"]
    of_source = (paper_results["dataset"] == "mvtec_ad") & (paper_results["product_class"] != MEAN)
    six = cells(*[("mvtec_ad", name) for name in paper_results.loc[of_source, "product_class"].unique()])
    line = series(by_source(six, paper_results))[THEIRS]
    assert line.x == pytest.approx([100 * level for level in printed.index])
    assert line.y == pytest.approx(printed.tolist(), abs=2e-4)


def test_the_paper_s_mean_stands_beside_no_other_sets_and_no_other_meaning_of_a_level(
    paper_results: pd.DataFrame,
) -> None:
    others = cells(PILL, MINE), cells(PILL, SCREW).assign(definition="added_fraction")
    for table in others:
        assert THEIRS not in series(impact(table, paper_results))
        assert THEIRS not in series(by_source(table, paper_results), -1)


def test_figure_4_has_a_panel_a_set_and_the_paper_s_line_where_it_has_one(paper_results: pd.DataFrame) -> None:
    chart = by_set(cells(PILL, MINE), paper_results)
    assert titles(chart) == ["pill", "mine"]
    theirs = series(chart)["iterative refinement, the paper's"]
    assert (theirs.x[0], theirs.y[0], theirs.dashed) == (0.0, 0.8888, True)
    assert not [name for name in series(chart, 1) if "paper" in name]


def test_figure_5_shows_good_and_bad_removals_of_refinement(paper_results: pd.DataFrame) -> None:
    chart = removals(cells(PILL, MINE), paper_results)
    ours = series(chart, 1)
    assert list(ours) == ["defects removed", "good images removed"]
    assert ours["defects removed"].y == pytest.approx([0, 30])
    assert ours["good images removed"].y == pytest.approx([0.5, 0.5])
    assert len(series(chart)) == 4


def test_variants_have_panels_of_their_own(paper_results: pd.DataFrame) -> None:
    both = pd.concat([cells(PILL, variant="method=a"), cells(PILL, variant="method=b")])
    assert titles(by_set(both, paper_results)) == ["pill, method=a", "pill, method=b"]


def test_detectors_have_panels_of_their_own(paper_results: pd.DataFrame) -> None:
    both = pd.concat([cells(PILL), cells(PILL).assign(detector="gaussian")])
    assert titles(by_set(both, paper_results)) == ["pill, differnet", "pill, gaussian"]


def test_one_seed_has_no_bars(paper_results: pd.DataFrame) -> None:
    assert series(impact(cells(PILL, seeds=(0,)), paper_results))["vanilla"].low == ()


def test_cells_without_labels_make_charts_without_panels(paper_results: pd.DataFrame) -> None:
    unlabelled = cells(MINE).assign(image_auroc=float("nan"), bad_removed=float("nan"))
    for draw in (impact, by_source, by_set, removals):
        assert draw(unlabelled, paper_results).panels == ()


def test_the_paper_s_line_is_not_drawn_beside_levels_that_are_defined_otherwise(
    paper_results: pd.DataFrame,
) -> None:
    other = cells(PILL).assign(definition="added_fraction")
    for chart in (by_set(other, paper_results), removals(other, paper_results)):
        assert not [name for name in series(chart) if "paper" in name]


def test_each_line_of_figure_1_is_over_the_same_sets(paper_results: pd.DataFrame) -> None:
    both = cells(PILL, MINE)
    chart = impact(both[~((both["set"] == "mine") & (both["strategy"] == "oracle"))], paper_results)
    assert list(series(chart)["vanilla"].x) == [0.0, 30.0]
    assert "oracle" not in series(chart)


def test_a_mean_says_of_how_many_sets_its_variant_is(paper_results: pd.DataFrame) -> None:
    both = pd.concat([cells(PILL, SCREW, variant="method=a"), cells(PILL, variant="method=b")])
    assert titles(impact(both, paper_results)) == ["mean of 2 sets, method=a", "pill, method=b"]
