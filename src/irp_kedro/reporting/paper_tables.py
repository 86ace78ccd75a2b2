"""Tables 1 and 2 in the paper's shape: one row a level, one column a set, the paper's figures beside ours."""

from typing import Any

import pandas as pd

from irp_kedro.reporting.paper import paper_results

# Cells that differ in anything but set, level and seed are not one experiment: each has a table of its own.
CONFIGURATION = ["definition", "detector", "configuration"]
ROW = ["level", "source", "strategy"]
OURS, PAPER = "ours", "paper"


def set_name(dataset: str, product_class: str) -> str:
    """Return how a set is called in a table.

    >>> set_name("mvtec_ad", "metal_nut"), set_name("ksdd2", "")
    ('metal_nut', 'ksdd2')
    """
    return product_class or dataset


def table_1(auroc: pd.DataFrame) -> pd.DataFrame:
    """Return mean AUROC by level, strategy and set, with the spread over seeds and, apart, over sets.

    Args:
        auroc: what ``tables.auroc_by_contamination`` returned.

    Returns:
        One row a configuration, level, source (``ours``, ``paper``) and strategy; a column a set; ``mean`` over
        sets; ``set_std``, the spread over sets, which the paper calls error magnitude; ``seed_std``, the mean
        over sets of the spread over seeds.
    """
    both = _beside_the_paper(auroc)
    wide = _wide(both, "auroc")
    sets = list(wide.columns)
    spread = both.groupby([*CONFIGURATION, *ROW])["auroc_seed_std"].mean().rename("seed_std")
    means = wide.assign(mean=wide[sets].mean(axis=1), set_std=wide[sets].std(axis=1))
    return means.join(spread).reset_index()


def table_2(removals: pd.DataFrame) -> pd.DataFrame:
    """Return mean good and bad images removed by level, strategy and set.

    Args:
        removals: what ``tables.removals_by_contamination`` returned.

    Returns:
        One row a configuration, level, source and strategy; two columns a set: ``NAME good``, ``NAME bad``.
    """
    both = _beside_the_paper(removals)
    halves = {kind: _wide(both, kind).add_suffix(f" {kind}") for kind in ("good", "bad")}
    names = list(dict.fromkeys(both["set"]))
    columns = [f"{name} {kind}" for name in names for kind in halves]
    return pd.concat(list(halves.values()), axis=1).reindex(columns=columns).reset_index()


def _beside_the_paper(table: pd.DataFrame) -> pd.DataFrame:
    """Return our rows and, for each of our configurations, the paper's for the sets that we have a cell of."""
    ours = _named(table).assign(source=OURS)
    paper = _named(paper_results()).assign(source=PAPER, strategy="iterative_refinement")
    parts = [ours]
    for keys, group in ours.groupby(CONFIGURATION):
        known = paper[paper["set"].isin(set(group["set"])) & paper["level"].isin(set(group["level"]))]
        stated: dict[str, Any] = dict(zip(CONFIGURATION, keys, strict=True))
        parts.append(known.assign(**stated))
    return pd.concat([part for part in parts if len(part)] or [ours], ignore_index=True)


def _named(table: pd.DataFrame) -> pd.DataFrame:
    classes = table["product_class"].fillna("")
    names = [set_name(*pair) for pair in zip(table["dataset"], classes, strict=True)]
    return table.assign(set=names, product_class=classes)


def _wide(table: pd.DataFrame, value: str) -> pd.DataFrame:
    known = table.dropna(subset=[value])
    return known.pivot_table(index=[*CONFIGURATION, *ROW], columns="set", values=value, aggfunc="mean")
