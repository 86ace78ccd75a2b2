import pandas as pd

from irp_kedro.reporting.overview_figures import auroc_by_level, removals_by_level


def cells(**changed: object) -> pd.DataFrame:
    rows = [
        {
            "dataset": "mvtec_ad",
            "product_class": "pill",
            "definition": "pool_fraction",
            "detector": "differnet",
            "configuration": "c1",
            "strategy": strategy,
            "level": level,
            "auroc": 0.9 - level,
            "auroc_seed_std": spread,
            "good": 1.0,
            "bad": 10 * level,
            **changed,
        }
        for strategy in ("vanilla", "iterative_refinement")
        for level, spread in ((0.3, 0.01), (0.1, 0.02))
    ]
    return pd.DataFrame(rows)


def test_a_set_has_a_panel_with_a_line_a_strategy_by_level_and_the_paper_s_in_grey() -> None:
    (panel,) = auroc_by_level(cells()).panels
    assert panel.title == "pill"
    ours = {series.name: list(series.x) for series in panel.series if "paper" not in series.name}
    assert ours == {"vanilla": [10, 30], "iterative refinement": [10, 30]}
    (papers,) = (series for series in panel.series if "paper" in series.name)
    assert (papers.y[0], len(papers.y), papers.dashed) == (0.8888, 6, True)


def test_bars_show_the_spread_over_seeds() -> None:
    (panel,) = auroc_by_level(cells()).panels
    vanilla = next(series for series in panel.series if series.name == "vanilla")
    assert [round(high - low, 6) for low, high in zip(vanilla.low, vanilla.high, strict=True)] == [0.04, 0.02]


def test_a_set_that_the_paper_does_not_have_shows_ours_alone() -> None:
    (panel,) = auroc_by_level(cells(dataset="sample", product_class=float("nan"))).panels
    assert panel.title == "sample"
    assert not any("paper" in series.name for series in panel.series)


def test_another_configuration_of_a_set_has_a_panel_of_its_own() -> None:
    titles = [panel.title for panel in auroc_by_level(pd.concat([cells(), cells(configuration="c2")])).panels]
    assert titles == ["pill, differnet c1", "pill, differnet c2"]


def test_removals_are_those_of_iterative_refinement() -> None:
    (panel,) = removals_by_level(cells()).panels
    bad, good, *papers = panel.series
    assert (list(bad.x), list(bad.y), list(good.y)) == ([10, 30], [1, 3], [1, 1])
    assert len(papers) == 2


def test_without_labels_there_is_no_panel() -> None:
    nothing = cells(auroc=float("nan"), bad=float("nan"))
    assert auroc_by_level(nothing).panels == removals_by_level(nothing).panels == ()


def test_several_classes_of_a_dataset_have_a_panel_of_their_mean_beside_the_paper_s() -> None:
    both = pd.concat([cells(), cells(product_class="screw", auroc=0.5)])
    *_, mean = auroc_by_level(both).panels
    assert mean.title == "mean of 2 classes of mvtec ad"
    vanilla = next(series for series in mean.series if series.name == "vanilla")
    assert list(vanilla.y) == [(0.8 + 0.5) / 2, (0.6 + 0.5) / 2]
    (papers,) = (series for series in mean.series if "paper" in series.name)
    assert papers.y[0] == (0.8888 + 0.8938) / 2


def test_a_level_that_one_class_lacks_has_no_mean() -> None:
    screw = cells(product_class="screw")
    *_, mean = auroc_by_level(pd.concat([cells(), screw[screw["level"] == 0.1]])).panels
    assert list(mean.series[0].x) == [10]
