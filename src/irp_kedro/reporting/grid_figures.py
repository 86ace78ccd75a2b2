"""The paper's Figures 1, 3, 4 and 5 from a grid's cells; bars are the spread over seeds."""

from collections.abc import Callable, Iterator, Sequence

import pandas as pd

from irp_kedro.parameters import STRATEGIES
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
from irp_kedro.reporting.grid_tables import ONLY_VARIANT, REFINED
from irp_kedro.reporting.paper import DEFINITION, of_set, papers_sets

IMPACT = ("vanilla", REFINED, "oracle")


def impact(cells: pd.DataFrame, paper: pd.DataFrame) -> Chart:
    """Return the mean over all sets: what contamination costs, and what refinement wins back (Figure 1).

    A level that a set lacks is left out: its mean would be over other sets. The paper's own is in grey where it
    has all of the sets.
    """
    panels = [
        _panel(title, "image AUROC", [*_lines(_over_sets(rows), IMPACT), *_papers_mean(paper, rows)])
        for title, rows in _experiments(cells, _mean_over_sets)
    ]
    return _chart("What contamination costs (the paper's Figure 1)", "mean AUROC over all sets", panels)


def by_source(cells: pd.DataFrame, paper: pd.DataFrame) -> Chart:
    """Return AUROC by level and strategy, one panel a source: the mean over its classes (Figure 3).

    The paper's own is in grey where it has all of the classes.
    """
    panels = [
        _panel(title, "image AUROC", [*_lines(_over_sets(rows)), *_papers_mean(paper, rows)])
        for source in dict.fromkeys(cells["dataset"])
        for title, rows in _experiments(cells[cells["dataset"] == source], _mean_of_source)
    ]
    return _chart(
        "Image AUROC by source (the paper's Figure 3)", "mean AUROC over the classes of a source", panels
    )


def by_set(cells: pd.DataFrame, paper: pd.DataFrame) -> Chart:
    """Return AUROC by level and strategy, one panel a set, the paper's own in grey (Figure 4)."""
    panels = []
    for name in dict.fromkeys(cells["set"]):
        for title, rows in _experiments(cells[cells["set"] == name]):
            theirs = _papers(paper, rows, "auroc", "iterative refinement, the paper's", "cross")
            panels.append(_panel(title, "image AUROC", [*_lines(_over_sets(rows)), *theirs]))
    return _chart("Image AUROC by set (the paper's Figure 4)", "AUROC of each set", panels)


def removals(cells: pd.DataFrame, paper: pd.DataFrame) -> Chart:
    """Return good and bad images that iterative refinement removed, one panel a set (Figure 5)."""
    refined = cells[cells["strategy"] == REFINED].dropna(subset=["bad_removed"])
    panels = []
    for name in dict.fromkeys(refined["set"]):
        for title, rows in _experiments(refined[refined["set"] == name]):
            theirs = [
                *_papers(paper, rows, "bad", "defects removed, the paper's", "triangle"),
                *_papers(paper, rows, "good", "good images removed, the paper's", "circle"),
            ]
            ours = [
                _line(_over_seeds(rows, "bad_removed"), "defects removed", VERMILION, "triangle"),
                _line(_over_seeds(rows, "good_removed"), "good images removed", BLUE, "circle"),
            ]
            panels.append(_panel(title, "images", [*ours, *theirs]))
    return _chart("Images that refinement removed (the paper's Figure 5)", "removals of each set", panels)


def _mean_of_source(cells: pd.DataFrame) -> str:
    source = str(cells["dataset"].iloc[0])
    return f"{source}, {_mean_over_sets(cells)}" if cells["set"].nunique() > 1 else source


def _mean_over_sets(cells: pd.DataFrame) -> str:
    sets = list(dict.fromkeys(cells["set"]))
    return str(sets[0]) if len(sets) == 1 else f"mean of {len(sets)} sets"


def _experiments(
    cells: pd.DataFrame, name: Callable[[pd.DataFrame], str] = _mean_over_sets
) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the cells of each variant and detector, with a title that names what sets it apart, if anything."""
    known = cells.dropna(subset=["image_auroc"])
    several = {column: known[column].nunique() > 1 for column in ("detector", "definition")}
    for (variant, *rest), rows in known.groupby(["variant", *several], sort=False):
        told = [name(rows), *([] if variant == ONLY_VARIANT else [str(variant)])]
        told += [str(value) for value, differs in zip(rest, several.values(), strict=True) if differs]
        yield ", ".join(told), rows


def _over_sets(cells: pd.DataFrame) -> pd.DataFrame:
    """Return mean and spread over seeds of the mean over all the sets, by strategy and level."""
    parts, sets = [], cells["set"].nunique()
    for strategy, rows in cells.groupby("strategy", sort=False):
        by_seed = rows.groupby(["level", "seed"])["image_auroc"].agg(["mean", "count"]).reset_index()
        whole = by_seed[by_seed["count"] == sets].rename(columns={"mean": "value"})
        parts.append(_over_seeds(whole, "value").assign(strategy=strategy))
    return pd.concat(parts, ignore_index=True)


def _over_seeds(rows: pd.DataFrame, column: str) -> pd.DataFrame:
    return rows.groupby("level")[column].agg(["mean", "std"]).reset_index()


def _lines(table: pd.DataFrame, shown: Sequence[str] = (*STRATEGIES, "oracle")) -> list[Series]:
    found = {name: table[table["strategy"] == name] for name in shown}
    return [
        _line(rows, readable(name), strategy_colour(name), STRATEGY_SYMBOLS[name], dashed=name == "oracle")
        for name, rows in found.items()
        if len(rows)
    ]


def _line(rows: pd.DataFrame, name: str, colour: str, symbol: Symbol, *, dashed: bool = False) -> Series:
    spread = rows["std"].fillna(0)
    several = bool(spread.any())
    return Series(
        name=name,
        kind="line",
        x=(100 * rows["level"]).tolist(),
        y=rows["mean"].tolist(),
        low=(rows["mean"] - spread).tolist() if several else (),
        high=(rows["mean"] + spread).tolist() if several else (),
        colour=colour,
        symbol=symbol,
        dashed=dashed,
    )


def _papers(paper: pd.DataFrame, ours: pd.DataFrame, column: str, name: str, symbol: Symbol) -> list[Series]:
    rows = of_set(paper, str(ours["set"].iloc[0]), str(ours["definition"].iloc[0]))
    if rows.empty:
        return []
    told = rows.assign(mean=rows[column].astype(float), std=float("nan"))
    return [_line(told, name, GREY, symbol, dashed=True)]


def _papers_mean(paper: pd.DataFrame, cells: pd.DataFrame) -> list[Series]:
    """Return the paper's mean over the sets of these cells, where it has all and a level means the same."""
    theirs, sets = papers_sets(paper), set(cells["set"])
    theirs = theirs[theirs["set_name"].isin(sets)]
    if set(theirs["set_name"]) != sets or set(cells["definition"]) != {DEFINITION}:
        return []
    mean = theirs.astype({"auroc": float}).groupby("level")["auroc"].mean()
    told = mean.rename("mean").reset_index().assign(std=float("nan"))
    return [_line(told, "iterative refinement, the paper's", GREY, "cross", dashed=True)]


def _panel(title: str, y_label: str, series: Sequence[Series]) -> Panel:
    return Panel(title=title, x_label="level, %", y_label=y_label, series=tuple(series), x_range=(-2, 52))


def _chart(title: str, what: str, panels: Sequence[Panel]) -> Chart:
    alt = f"Lines by level of contamination: {what}; bars are the standard deviation over seeds."
    return Chart(title=title, alt=alt, panels=tuple(panels))
