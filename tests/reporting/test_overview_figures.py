import pandas as pd
import pytest

from irp_kedro.reporting.overview_figures import auroc_by_level, removals_by_level

SCREW = {"product_class": "screw", "set_name": "screw", "set_digest": "s"}
SAMPLE = {"dataset": "sample", "product_class": float("nan"), "set_name": "sample", "set_digest": "m"}


def cells(**changed: object) -> pd.DataFrame:
    rows = [
        {
            "dataset": "mvtec_ad",
            "product_class": "pill",
            "set_name": "pill",
            "set_digest": "p",
            "definition": "pool_fraction",
            "detector": "differnet",
            "configuration": "c1",
            "strategy": strategy,
            "level": level,
            "auroc": 0.9 - level,
            "auroc_seed_std": spread,
            "good": 1.0,
            "good_seed_std": 0.5,
            "bad": 10 * level,
            "bad_seed_std": float("nan"),
            **changed,
        }
        for strategy in ("vanilla", "iterative_refinement")
        for level, spread in ((0.3, 0.01), (0.1, 0.02))
    ]
    return pd.DataFrame(rows)


def test_a_set_has_a_panel_with_a_line_a_strategy_by_level_and_the_paper_s_in_grey(
    paper_results: pd.DataFrame,
) -> None:
    (panel,) = auroc_by_level(cells(), paper_results).panels
    assert panel.title == "pill"
    ours = {series.name: list(series.x) for series in panel.series if "paper" not in series.name}
    assert ours == {"vanilla": [10, 30], "iterative refinement": [10, 30]}
    (papers,) = (series for series in panel.series if "paper" in series.name)
    assert (papers.y[0], len(papers.y), papers.dashed) == (0.8888, 6, True)


def test_bars_show_the_spread_over_seeds(paper_results: pd.DataFrame) -> None:
    (panel,) = auroc_by_level(cells(), paper_results).panels
    vanilla = next(series for series in panel.series if series.name == "vanilla")
    assert [round(high - low, 6) for low, high in zip(vanilla.low, vanilla.high, strict=True)] == [0.04, 0.02]


def test_a_set_that_the_paper_does_not_have_shows_ours_alone(paper_results: pd.DataFrame) -> None:
    (panel,) = auroc_by_level(cells(**SAMPLE), paper_results).panels
    assert panel.title == "sample"
    assert not any("paper" in series.name for series in panel.series)


def test_another_configuration_of_a_set_has_a_panel_of_its_own(paper_results: pd.DataFrame) -> None:
    both = pd.concat([cells(), cells(configuration="c2")])
    titles = [panel.title for panel in auroc_by_level(both, paper_results).panels]
    assert titles == ["pill, differnet c1", "pill, differnet c2"]


def test_removals_are_those_of_iterative_refinement(paper_results: pd.DataFrame) -> None:
    (panel,) = removals_by_level(cells(), paper_results).panels
    bad, good, *papers = panel.series
    assert (list(bad.x), list(bad.y), list(good.y)) == ([10, 30], [1, 3], [1, 1])
    assert len(papers) == 2


def test_without_labels_there_is_no_panel(paper_results: pd.DataFrame) -> None:
    nothing = cells(auroc=float("nan"), bad=float("nan"))
    assert (
        auroc_by_level(nothing, paper_results).panels == removals_by_level(nothing, paper_results).panels == ()
    )


def test_several_classes_of_a_dataset_have_a_panel_of_their_mean_beside_the_paper_s(
    paper_results: pd.DataFrame,
) -> None:
    both = pd.concat([cells(), cells(**SCREW, auroc=0.5)])
    mean, *sets = auroc_by_level(both, paper_results).panels
    assert [panel.title for panel in sets] == ["pill", "screw"]
    assert mean.title == "mean of 2 classes of mvtec ad"
    vanilla = next(series for series in mean.series if series.name == "vanilla")
    assert list(vanilla.y) == [(0.8 + 0.5) / 2, (0.6 + 0.5) / 2]
    (papers,) = (series for series in mean.series if "paper" in series.name)
    assert papers.y[0] == (0.8888 + 0.8938) / 2


def test_a_level_that_one_class_lacks_has_no_mean(paper_results: pd.DataFrame) -> None:
    screw = cells(**SCREW)
    mean, *_ = auroc_by_level(pd.concat([cells(), screw[screw["level"] == 0.1]]), paper_results).panels
    assert list(mean.series[0].x) == [10]


def test_figure_1_is_the_mean_over_all_sets_where_they_are_not_all_classes_of_one_dataset(
    paper_results: pd.DataFrame,
) -> None:
    both = pd.concat(
        [cells(), cells(**SAMPLE, auroc=0.5), cells(**SAMPLE, auroc=0.5, strategy="one_shot_removal")]
    )
    mean, *sets = auroc_by_level(both, paper_results).panels
    assert (mean.title, [panel.title for panel in sets]) == ("mean of 2 sets", ["pill", "sample"])
    assert {series.name for series in mean.series} == {"vanilla", "iterative refinement"}
    assert list(mean.series[0].y) == pytest.approx([0.65, 0.55])


@pytest.mark.parametrize(
    "changed", [{"definition": "added_fraction"}, {"set_name": "kolektorsdd", "dataset": "ksdd2"}]
)
def test_the_paper_s_curve_is_only_beside_cells_that_it_compares_with(
    paper_results: pd.DataFrame, changed: dict[str, str]
) -> None:
    other = cells(**changed)
    for chart in (auroc_by_level(other, paper_results), removals_by_level(other, paper_results)):
        assert not [line.name for panel in chart.panels for line in panel.series if "paper" in line.name]


def test_two_folders_of_one_name_have_panels_of_their_own_and_no_mean_over_classes(
    paper_results: pd.DataFrame,
) -> None:
    both = pd.concat([cells(), cells(set_digest="q")])
    panels = auroc_by_level(both, paper_results).panels
    assert [panel.title for panel in panels] == ["pill (p)", "pill (q)"]
    assert [list(series.x) for series in panels[0].series[:2]] == [[10, 30]] * 2


def test_removals_show_their_spread_over_seeds(paper_results: pd.DataFrame) -> None:
    (panel,) = removals_by_level(cells(), paper_results).panels
    bad, good, *_ = panel.series
    assert (list(good.low), list(good.high)) == ([0.5, 0.5], [1.5, 1.5])
    assert bad.low == ()


def test_definitions_of_a_set_have_panels_that_name_them(paper_results: pd.DataFrame) -> None:
    both = pd.concat([cells(), cells(definition="added_fraction", configuration="c2")])
    titles = [panel.title for panel in auroc_by_level(both, paper_results).panels]
    assert titles == ["pill, differnet c2 added fraction", "pill, differnet c1 pool fraction"]
