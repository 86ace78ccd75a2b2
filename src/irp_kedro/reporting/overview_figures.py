"""The figures over all cells: AUROC and removals by contamination (the paper's Figures 1, 3, 4 and 5)."""

from collections.abc import Iterator

import pandas as pd

from irp_kedro.reporting.charts import (
    BLUE,
    GREY,
    STRATEGY_SYMBOLS,
    VERMILION,
    Chart,
    Panel,
    Series,
    Symbol,
    readable,
    strategy_colour,
)
from irp_kedro.reporting.paper import paper_results
from irp_kedro.reporting.paper_tables import CONFIGURATION, set_name

SET = ["dataset", "product_class", *CONFIGURATION]


def auroc_by_level(auroc: pd.DataFrame) -> Chart:
    """Return AUROC by level and strategy, one panel a set, our seed spread as bars, the paper's curve in grey.

    Args:
        auroc: what ``tables.auroc_by_contamination`` returned.
    """
    paper, known = paper_results(), auroc.dropna(subset=["auroc"])
    panels = []
    for title, dataset, product_class, group in _sets(known):
        theirs = paper[(paper["dataset"] == dataset) & (paper["product_class"] == product_class)]
        panels.append(_panel(title, "image AUROC", _auroc_lines(group, theirs)))
    for title, means, theirs in _means_over_classes(known, paper):
        panels.append(_panel(title, "image AUROC", _auroc_lines(means, theirs)))
    return Chart(
        title="Image AUROC by contamination (the paper's Figures 1, 3 and 4)",
        alt=(
            "One panel a set: a line a strategy, level against mean AUROC over seeds, with their spread. "
            "Where a dataset has several classes, one more panel for their mean and its spread over classes."
        ),
        panels=tuple(panels),
    )


def removals_by_level(removals: pd.DataFrame) -> Chart:
    """Return good and bad images that iterative refinement removed, by level, one panel a set.

    Args:
        removals: what ``tables.removals_by_contamination`` returned.
    """
    paper = paper_results()
    refined = removals[removals["strategy"] == "iterative_refinement"].dropna(subset=["bad"])
    panels = []
    for title, dataset, product_class, group in _sets(refined):
        ordered = group.sort_values("level")
        at = (100 * ordered["level"]).tolist()
        series = [
            Series(
                name="defects removed",
                kind="line",
                x=at,
                y=ordered["bad"].tolist(),
                colour=VERMILION,
                symbol="triangle",
            ),
            Series(name="good images removed", kind="line", x=at, y=ordered["good"].tolist(), colour=BLUE),
        ]
        theirs = paper[(paper["dataset"] == dataset) & (paper["product_class"] == product_class)]
        if len(theirs):
            series += [
                _papers("defects removed, the paper's", theirs, "bad", "triangle"),
                _papers("good images removed, the paper's", theirs, "good", "circle"),
            ]
        panels.append(_panel(title, "images", series))
    return Chart(
        title="Images that iterative refinement removed, by contamination (the paper's Figure 5)",
        alt="One panel a set: a line for removed defects and one for removed good images, by level.",
        panels=tuple(panels),
    )


def _sets(table: pd.DataFrame) -> Iterator[tuple[str, str, str, pd.DataFrame]]:
    known = table.assign(product_class=table["product_class"].fillna(""))
    several = known.groupby(["dataset", "product_class"])["configuration"].nunique()
    for keys, group in known.groupby(SET):
        dataset, product_class, _, detector, configuration = map(str, keys)
        name = readable(set_name(dataset, product_class))
        apart = f", {detector} {configuration}" if several.loc[(dataset, product_class)] > 1 else ""
        yield name + apart, dataset, product_class, group


def _means_over_classes(
    auroc: pd.DataFrame, paper: pd.DataFrame
) -> Iterator[tuple[str, pd.DataFrame, pd.DataFrame]]:
    """Yield title, our means and the paper's, over the classes of a dataset that has several (Figure 3b)."""
    named = auroc.assign(product_class=auroc["product_class"].fillna(""))
    for keys, group in named.groupby(["dataset", *CONFIGURATION]):
        classes = sorted(set(group["product_class"]))
        if len(classes) < 2:
            continue
        # A level or strategy that one class lacks has no mean over them all.
        wide = group.pivot_table(index=["strategy", "level"], columns="product_class", values="auroc").dropna()
        means = pd.DataFrame({"auroc": wide.mean(axis=1), "auroc_seed_std": wide.std(axis=1)}).reset_index()
        shared = paper[(paper["dataset"] == keys[0]) & paper["product_class"].isin(classes)]
        whole = shared["product_class"].nunique() == len(classes)
        mean = shared.groupby("level")["auroc"].mean().reset_index()
        theirs = mean if whole else mean.iloc[:0]
        yield f"mean of {len(classes)} classes of {readable(str(keys[0]))}", means, theirs


def _auroc_lines(ours: pd.DataFrame, theirs: pd.DataFrame) -> list[Series]:
    series = []
    for position, (strategy, rows) in enumerate(ours.groupby("strategy")):
        ordered = rows.sort_values("level")
        spread = ordered["auroc_seed_std"].fillna(0)
        series.append(
            Series(
                name=readable(str(strategy)),
                kind="line",
                x=(100 * ordered["level"]).tolist(),
                y=ordered["auroc"].tolist(),
                low=(ordered["auroc"] - spread).tolist() if spread.any() else (),
                high=(ordered["auroc"] + spread).tolist() if spread.any() else (),
                colour=strategy_colour(str(strategy), position),
                symbol=STRATEGY_SYMBOLS.get(str(strategy), "cross"),
                dashed=strategy == "oracle",
            )
        )
    if len(theirs):
        series.append(_papers("iterative refinement, the paper's", theirs, "auroc", "cross"))
    return series


def _panel(title: str, y_label: str, series: list[Series]) -> Panel:
    return Panel(title=title, x_label="level, %", y_label=y_label, series=tuple(series), x_range=(-2, 52))


def _papers(name: str, rows: pd.DataFrame, column: str, symbol: Symbol) -> Series:
    return Series(
        name=name,
        kind="line",
        x=(100 * rows["level"]).tolist(),
        y=rows[column].astype(float).tolist(),
        colour=GREY,
        dashed=True,
        symbol=symbol,
    )
