"""A grid's cells as tables: seeds apart from classes, and the paper's figures beside ours."""

from collections.abc import Sequence

import pandas as pd

from irp_kedro.core.recovery import recovery_by_contamination
from irp_kedro.parameters import STRATEGIES
from irp_kedro.reporting.paper import DEFINITION, MEAN, classes_of_mean, papers_means, papers_sets
from irp_kedro.reporting.sets import identified, told_apart
from irp_kedro.reporting.tables import auroc_by_contamination, removals_by_contamination

REFINED = "iterative_refinement"
# Of a grid whose cells differ in set, level, detector and seed alone; not empty, which CSV takes for missing.
ONLY_VARIANT = "-"
# Cells of one experiment on several sets, at several levels and with several seeds.
EXPERIMENT = ["variant", "definition", "detector"]
PLACE = ["set", *EXPERIMENT, "level"]
PAPERS = {"auroc": "paper_auroc", "good": "paper_good", "bad": "paper_bad"}


def named_apart(cells: pd.DataFrame) -> pd.DataFrame:
    """Return a grid's cells with two sets that its plan calls alike told apart, within a variant."""
    known = identified(cells)
    parts = [told_apart(rows["set"], rows["set_digest"]) for _, rows in known.groupby("variant", sort=False)]
    return cells.assign(set=pd.concat(parts))


def auroc_over_seeds(cells: pd.DataFrame) -> pd.DataFrame:
    """Return mean AUROC and its spread over seeds by set, variant, strategy and level (Table 1)."""
    return _in_order(auroc_by_contamination(cells), cells)


def removals_over_seeds(cells: pd.DataFrame) -> pd.DataFrame:
    """Return mean good and bad removals by set, variant, strategy and level (Table 2)."""
    return _in_order(removals_by_contamination(cells), cells)


def recovery_over_seeds(cells: pd.DataFrame) -> pd.DataFrame:
    """Return what refinement won back by set, variant, strategy and level, paired by seed (decision 0011)."""
    return _in_order(recovery_by_contamination(identified(cells)), cells)


def spread_over_classes(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the mean over the classes of each source, with both spreads apart (decision 0008).

    Where a class lacks a seed or a level that another has, there is no mean to state.

    Args:
        cells: one row a cell and strategy.

    Returns:
        By source, variant, strategy and level: ``auroc``; ``auroc_class_std``, over the classes' own means;
        ``auroc_seed_std``, over seeds of the mean over classes; ``classes``; ``seeds``.
    """
    known = cells.dropna(subset=["image_auroc"])
    keys = ["dataset", *EXPERIMENT, "strategy", "level"]
    rows = []
    for place, group in known.groupby(keys, sort=False):
        table = group.pivot_table(index="set", columns="seed", values="image_auroc")
        classes = known[known["dataset"] == group["dataset"].iloc[0]]["set"].nunique()
        if table.isna().any(axis=None) or len(table) < classes:
            continue
        by_class, by_seed = table.mean(axis=1), table.mean(axis=0)
        told = {
            "auroc": by_class.mean(),
            "auroc_class_std": by_class.std(),
            "auroc_seed_std": by_seed.std(),
            "classes": len(by_class),
            "seeds": len(by_seed),
        }
        rows.append({**dict(zip(keys, place, strict=True)), **told})
    columns = [*keys, "auroc", "auroc_class_std", "auroc_seed_std", "classes", "seeds"]
    return pd.DataFrame(rows, columns=columns)


def compare_with_paper(auroc: pd.DataFrame, removals: pd.DataFrame, paper: pd.DataFrame) -> pd.DataFrame:
    """Return our iterative refinement beside the paper's, for the sets and levels that both have.

    A set of the grid is the paper's where it is called as the paper calls it (``pill``, ``ksdd2``) and its
    level is defined as the paper's. Where all six classes were run, their mean is compared too.

    Args:
        auroc: as of :func:`auroc_over_seeds`.
        removals: as of :func:`removals_over_seeds`.
        paper: the catalog's ``paper_results``.
    """
    theirs = papers_sets(paper).rename(columns={"set_name": "set"})
    means = papers_means(paper)["auroc"].reset_index().assign(set=MEAN, definition=DEFINITION)
    theirs = pd.concat([theirs, means], ignore_index=True).rename(columns=PAPERS)
    columns = [*PLACE, "auroc", "auroc_seed_std", "cells"]
    ours = _refined(auroc)[columns].merge(_refined(removals)[[*PLACE, "good", "bad"]], on=PLACE, how="left")
    ours = pd.concat([ours, _mean_of_classes(ours, classes_of_mean(paper))], ignore_index=True)
    found = ours.merge(theirs, on=["set", "definition", "level"]).rename(columns={"cells": "seeds"})
    shown = [
        *PLACE,
        "seeds",
        "auroc",
        "auroc_seed_std",
        "paper_auroc",
        "good",
        "paper_good",
        "bad",
        "paper_bad",
    ]
    return found[shown].drop(columns="definition")


def _in_order(table: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """Say which set and variant each row is, and put rows in the order of the grid and of strategies."""
    names = cells[["setting", "set", "variant"]].drop_duplicates("setting")
    named = table.merge(names, on="setting", how="left")
    sets, variants = (list(dict.fromkeys(cells[column])) for column in ("set", "variant"))
    orders = {"set": sets, "variant": variants, "strategy": [*STRATEGIES, "oracle"]}
    named = named.sort_values(
        ["set", "variant", "level", "strategy"],
        key=lambda column: column.map(orders[str(column.name)].index) if column.name in orders else column,
        kind="stable",
    )
    rest = [column for column in named.columns if column not in {"set", "variant"}]
    return named[["set", "variant", *rest]].reset_index(drop=True)


def _refined(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["strategy"] == REFINED]


def _mean_of_classes(ours: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    rows = []
    for place, group in ours[ours["set"].isin(classes)].groupby([*EXPERIMENT, "level"], sort=False):
        if sorted(group["set"]) == list(classes):
            told = {"set": MEAN, **dict(zip([*EXPERIMENT, "level"], place, strict=True))}
            # The spread over seeds of a mean over classes stands in the table of means, not here.
            rows.append({**told, **group[["auroc", "good", "bad"]].mean(), "cells": group["cells"].min()})
    return pd.DataFrame(rows, columns=ours.columns).astype(ours.dtypes)
