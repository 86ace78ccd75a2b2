"""A grid's tables as a page of Markdown, Tables 1 and 2 in the paper's shape."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import pandas as pd

from irp_kedro.reporting.charts import counted
from irp_kedro.reporting.grid_tables import EXPERIMENT, ONLY_VARIANT

RECOVERY = ["set", "variant", "level", "definition", "detector", "configuration", "strategy", "seeds"]
RECOVERY += ["vanilla", "refined", "oracle", "gain", "lost", "lost_error", "recovery"]


def as_markdown(
    auroc: pd.DataFrame,
    removals: pd.DataFrame,
    recovery: pd.DataFrame,
    spread: pd.DataFrame,
    comparison: pd.DataFrame,
    *,
    grid: str,
    note: str,
) -> str:
    """Return the page.

    Args:
        auroc: as of ``grid_tables.auroc_over_seeds``.
        removals: as of ``grid_tables.removals_over_seeds``.
        recovery: as of ``grid_tables.recovery_over_seeds``.
        spread: as of ``grid_tables.spread_over_classes``.
        comparison: as of ``grid_tables.compare_with_paper``.
        grid: its name.
        note: what a reader must know about its sets.
    """
    lines = [f"# Grid {grid}", "", *([note, ""] if note else [])]
    for title, of_experiment in _experiments(auroc):
        lines += [f"## Table 1{title}: image AUROC, mean ± standard deviation over seeds", ""]
        lines += _auroc_table(of_experiment(auroc))
        lines += [f"## Table 2{title}: images removed, good / bad, means over seeds", ""]
        lines += _removal_table(of_experiment(removals))
    if len(recovery):
        told = recovery.rename(columns={"cells": "seeds"})[RECOVERY]
        lines += ["## Recovery", "", RECOVERED, "", *_markdown(told), ""]
    several = spread[spread["classes"] > 1]
    if len(several):
        lines += ["## Means over the classes of a source", "", SPREADS, "", *_markdown(several), ""]
    if len(comparison):
        lines += ["## The paper's figures beside ours", "", PAPER, "", *_markdown(comparison), ""]
    return "\n".join(lines)


def _experiments(auroc: pd.DataFrame) -> Iterator[tuple[str, Callable[[pd.DataFrame], pd.DataFrame]]]:
    """Yield what sets each experiment apart, if anything, and how to choose its rows of a table."""
    several = [column for column in EXPERIMENT if auroc[column].nunique() > 1 or column == "variant"]
    for values in auroc[several].drop_duplicates().itertuples(index=False):
        wanted = dict(zip(several, values, strict=True))
        title = "".join(f", {value}" for value in values if value != ONLY_VARIANT)
        yield title, partial(_rows_of, wanted)


def _rows_of(wanted: Mapping[str, str], table: pd.DataFrame) -> pd.DataFrame:
    return table[(table[list(wanted)] == pd.Series(wanted)).all(axis=1)]


def _auroc_table(rows: pd.DataFrame) -> list[str]:
    strategies = list(dict.fromkeys(rows["strategy"]))
    lines = ["| set | level | " + " | ".join(strategies) + " | seeds |"]
    lines.append("|---|---:|" + "---:|" * (len(strategies) + 1))
    for (name, level), group in rows.groupby(["set", "level"], sort=False):
        found = {row["strategy"]: _spread(row) for _, row in group.iterrows()}
        shown = [found.get(strategy, "-") for strategy in strategies]
        lines.append(f"| {name} | {level:g} | " + " | ".join(shown) + f" | {int(group['cells'].max())} |")
    return [*lines, ""]


def _removal_table(rows: pd.DataFrame) -> list[str]:
    sets = list(dict.fromkeys(rows["set"]))
    lines = ["| level | strategy | " + " | ".join(sets) + " |", "|---:|---|" + "---:|" * len(sets)]
    ordered = rows.sort_values("level", kind="stable")
    for (level, strategy), group in ordered.groupby(["level", "strategy"], sort=False):
        found = {row["set"]: _pair(row["good"], row["bad"]) for _, row in group.iterrows()}
        shown = [found.get(name, "-") for name in sets]
        lines.append(f"| {level:g} | {strategy} | " + " | ".join(shown) + " |")
    return [*lines, ""]


def _pair(good: float, bad: float) -> str:
    return "-" if pd.isna(good) or pd.isna(bad) else f"{counted(good)} / {counted(bad)}"


def _spread(row: pd.Series) -> str:
    mean, deviation = row["auroc"], row["auroc_seed_std"]
    if pd.isna(mean):
        return "-"
    return f"{mean:.3f}" if pd.isna(deviation) else f"{mean:.3f} ± {deviation:.3f}"


def _markdown(table: pd.DataFrame) -> list[str]:
    columns = [str(column) for column in table.columns if not (table[column] == ONLY_VARIANT).all()]
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    for _, row in table.iterrows():
        lines.append("| " + " | ".join(_value(row[column]) for column in columns) + " |")
    return lines


def _value(value: object) -> str:
    if isinstance(value, float):
        return "-" if pd.isna(value) else f"{value:.4g}"
    return str(value)


RECOVERED = """\
`gain` is refined - vanilla and `lost` is oracle - vanilla, image AUROC, means over seeds that have all three.
`recovery` is gain / lost, only where lost exceeds twice `lost_error`, its standard error over the seeds; one
seed has none."""

SPREADS = """\
`auroc_class_std` is the standard deviation over the classes' own means, `auroc_seed_std` that over seeds of the
mean over classes. A source of which a class lacks a cell is left out."""

PAPER = """\
`paper_…` columns are the paper's own (Aqeel, Sharifi, Cristani, Setti 2024, arXiv 2408.11561, Tables 1 and 2):
one figure a set and level, its seeds not stated. Ours are iterative_refinement, with this grid's parameters."""
