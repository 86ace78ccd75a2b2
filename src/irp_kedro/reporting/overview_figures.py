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
from irp_kedro.reporting.paper import of_set, papers_sets
from irp_kedro.reporting.paper_tables import CONFIGURATION, named_sets

IMPACT = ["vanilla", "iterative_refinement", "oracle"]


def auroc_by_level(auroc: pd.DataFrame, paper: pd.DataFrame) -> Chart:
    """Return AUROC by level and strategy: means over sets, then one panel a set with the paper's curve in grey.

    Args:
        auroc: what ``tables.auroc_by_contamination`` returned.
        paper: the catalog's ``paper_results``.
    """
    known = named_sets(auroc.dropna(subset=["auroc"]))
    panels = [_panel(title, "image AUROC", _auroc_lines(means)) for title, means in _means_over_sets(known)]
    for title, means, theirs in _means_over_classes(known, paper):
        panels.append(_panel(title, "image AUROC", _auroc_lines(means, theirs)))
    for title, group in _sets(known):
        panels.append(_panel(title, "image AUROC", _auroc_lines(group, _papers_of(group, paper))))
    return Chart(
        title="Image AUROC by contamination (the paper's Figures 1, 3 and 4)",
        alt=(
            "A line a strategy, level against AUROC: first the mean over all sets, then over the classes of a "
            "dataset, with the spread over them, where there are several; then one panel a set, the mean over "
            "seeds with their spread. Grey: the paper's."
        ),
        panels=tuple(panels),
    )


def removals_by_level(removals: pd.DataFrame, paper: pd.DataFrame) -> Chart:
    """Return good and bad images that iterative refinement removed, by level, one panel a set.

    Args:
        removals: what ``tables.removals_by_contamination`` returned.
        paper: the catalog's ``paper_results``.
    """
    refined = removals[removals["strategy"] == "iterative_refinement"].dropna(subset=["bad"])
    panels = []
    for title, group in _sets(named_sets(refined)):
        series = [
            _line(group, "bad", "defects removed", VERMILION, "triangle"),
            _line(group, "good", "good images removed", BLUE, "circle"),
        ]
        theirs = _papers_of(group, paper)
        if len(theirs):
            series += [
                _papers("defects removed, the paper's", theirs, "bad", "triangle"),
                _papers("good images removed, the paper's", theirs, "good", "circle"),
            ]
        panels.append(_panel(title, "images", series))
    return Chart(
        title="Images that iterative refinement removed, by contamination (the paper's Figure 5)",
        alt=(
            "One panel a set: a line for removed defects and one for removed good images, by level, means over "
            "seeds with their spread. Grey: the paper's."
        ),
        panels=tuple(panels),
    )


def _sets(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the rows of each set and configuration, with a title that names what sets it apart, if anything."""
    for keys, group in table.groupby(["set", *CONFIGURATION]):
        yield _apart(readable(str(keys[0])), group, table[table["set"] == keys[0]]), group


def _apart(name: str, group: pd.DataFrame, among: pd.DataFrame) -> str:
    if len(among.drop_duplicates(CONFIGURATION)) == 1:
        return name
    definition, detector, configuration = (str(group[column].iloc[0]) for column in CONFIGURATION)
    defined = f" {definition}" if among["definition"].nunique() > 1 else ""
    return f"{name}, {detector} {configuration}{readable(defined)}"


def _papers_of(group: pd.DataFrame, paper: pd.DataFrame) -> pd.DataFrame:
    return of_set(paper, str(group["set_name"].iloc[0]), str(group["definition"].iloc[0]))


def _means_over_sets(known: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield title and means over all sets of a configuration that has several (Figure 1)."""
    shown = known[known["strategy"].isin(IMPACT)]
    for _, group in shown.groupby(CONFIGURATION):
        sets = sorted(set(group["set"]))
        # The mean over the classes of one dataset has a panel of its own.
        if len(sets) > 1 and (group["dataset"].nunique() > 1 or (group["product_class"] == "").any()):
            yield _apart(f"mean of {len(sets)} sets", group, shown), _means(group)


def _means_over_classes(
    known: pd.DataFrame, paper: pd.DataFrame
) -> Iterator[tuple[str, pd.DataFrame, pd.DataFrame]]:
    """Yield title, our means and the paper's, over the classes of a dataset that has several (Figure 3b)."""
    theirs, classified = papers_sets(paper), known[known["product_class"] != ""]
    for (dataset, definition, *_), group in classified.groupby(["dataset", *CONFIGURATION]):
        classes = sorted(set(group["set_name"]))
        # A class that is there twice, from two places, would count twice.
        if len(classes) < 2 or group["set"].nunique() > len(classes):
            continue
        shared = theirs[theirs["set_name"].isin(classes) & (theirs["definition"] == definition)]
        whole = shared["set_name"].nunique() == len(classes)
        mean = shared.groupby("level")["auroc"].mean().reset_index()
        name = f"mean of {len(classes)} classes of {readable(str(dataset))}"
        yield (
            _apart(name, group, classified[classified["dataset"] == dataset]),
            _means(group),
            mean[[whole] * len(mean)],
        )


def _means(group: pd.DataFrame) -> pd.DataFrame:
    """Return mean and spread over the sets; a level or strategy that one of them lacks has neither."""
    wide = group.pivot_table(index=["strategy", "level"], columns="set", values="auroc").dropna()
    return pd.DataFrame({"auroc": wide.mean(axis=1), "auroc_seed_std": wide.std(axis=1)}).reset_index()


def _auroc_lines(ours: pd.DataFrame, theirs: pd.DataFrame | None = None) -> list[Series]:
    series = [
        _line(
            rows,
            "auroc",
            readable(str(strategy)),
            strategy_colour(str(strategy), position),
            STRATEGY_SYMBOLS.get(str(strategy), "cross"),
            dashed=strategy == "oracle",
        )
        for position, (strategy, rows) in enumerate(ours.groupby("strategy"))
    ]
    if theirs is not None and len(theirs):
        series.append(_papers("iterative refinement, the paper's", theirs, "auroc", "cross"))
    return series


def _line(
    rows: pd.DataFrame, column: str, name: str, colour: str, symbol: Symbol, *, dashed: bool = False
) -> Series:
    ordered = rows.sort_values("level")
    values, spread = ordered[column], ordered[f"{column}_seed_std"].fillna(0)
    several = bool(spread.any())
    return Series(
        name=name,
        kind="line",
        x=(100 * ordered["level"]).tolist(),
        y=values.tolist(),
        low=(values - spread).tolist() if several else (),
        high=(values + spread).tolist() if several else (),
        colour=colour,
        symbol=symbol,
        dashed=dashed,
    )


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
