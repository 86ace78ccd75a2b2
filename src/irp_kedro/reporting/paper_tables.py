"""Tables 1 and 2 in the paper's shape: one row a level, one column a set, the paper's figures beside ours."""

import pandas as pd

from irp_kedro.reporting.paper import (
    SOURCE_OF_MEAN,
    classes_of_mean,
    papers_means,
    papers_sets,
)
from irp_kedro.reporting.sets import identified, told_apart

# Cells that differ in anything but set, level and seed are not one experiment: each has a table of its own.
CONFIGURATION = ["definition", "detector", "configuration"]
ROW = ["level", "source", "strategy"]
OURS, PAPER = "ours", "paper"
CLASS_MEAN = f"{SOURCE_OF_MEAN} mean"
MEASURES = ["mean", "set_std", "seed_std", CLASS_MEAN, "error_magnitude"]
# A set that is called as a column would be lost in it.
TAKEN = frozenset([*CONFIGURATION, *ROW, *MEASURES])


def table_1(auroc: pd.DataFrame, paper: pd.DataFrame) -> pd.DataFrame:
    """Return mean AUROC by level, strategy and set, with the spread over seeds and, apart, over sets.

    Whatever is taken over sets is over all sets of the configuration, and empty where a row lacks one of them.

    Args:
        auroc: what ``tables.auroc_by_contamination`` returned.
        paper: the catalog's ``paper_results``.

    Returns:
        One row a configuration, level, source (``ours``, ``paper``) and strategy; a column a set; ``mean`` over
        sets; ``set_std``, the spread over sets; ``seed_std``, the mean over sets of the spread over seeds.
        Where a row has all classes of the paper's mean, also that mean and its ``error_magnitude`` as the
        paper's is: the standard deviation, dividing by n, of the classes and their mean; theirs as printed.
    """
    both = _beside_the_paper(auroc.dropna(subset=["auroc"]), paper)
    wide, spread = _wide(both, "auroc"), _wide(both, "auroc_seed_std")
    parts = [_over_sets(rows, spread) for _, rows in wide.groupby(level=CONFIGURATION)]
    means = pd.concat(parts) if parts else wide.assign(mean=None, set_std=None, seed_std=None)
    return means.join(_over_classes(wide, paper)).reset_index()


def table_2(removals: pd.DataFrame, paper: pd.DataFrame) -> pd.DataFrame:
    """Return mean good and bad images removed by level, strategy and set.

    Args:
        removals: what ``tables.removals_by_contamination`` returned.
        paper: the catalog's ``paper_results``.

    Returns:
        One row a configuration, level, source and strategy; two columns a set: ``NAME good``, ``NAME bad``.
    """
    both = _beside_the_paper(removals.dropna(subset=["good", "bad"]), paper)
    halves = {kind: _wide(both, kind).add_suffix(f" {kind}") for kind in ("good", "bad")}
    names = list(dict.fromkeys(both["set"]))
    columns = [f"{name} {kind}" for name in names for kind in halves]
    return pd.concat(list(halves.values()), axis=1).reindex(columns=columns).reset_index()


def named_sets(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with ``set``: what its sets are called, two of one name apart."""
    known = identified(table)
    return known.assign(set=told_apart(known["set_name"], known["set_digest"], taken=TAKEN))


def _beside_the_paper(table: pd.DataFrame, paper: pd.DataFrame) -> pd.DataFrame:
    """Return our rows, and the paper's for each of our sets and levels that it can be compared with."""
    ours = named_sets(table).assign(source=OURS)
    places = ours[[*CONFIGURATION, "set", "set_name", "level"]].drop_duplicates()
    theirs = places.merge(papers_sets(paper), on=["set_name", "definition", "level"])
    theirs = theirs.assign(source=PAPER, strategy="iterative_refinement")
    return pd.concat([part for part in (ours, theirs) if len(part)] or [ours], ignore_index=True)


def _wide(table: pd.DataFrame, value: str) -> pd.DataFrame:
    index = [*CONFIGURATION, *ROW]
    known = table.dropna(subset=[value]) if value in table else table.assign(**{value: None}).iloc[:0]
    # Two settings in one place are two sets that nothing tells apart, of an earlier version: neither is shown.
    single = known[~known.duplicated([*index, "set"], keep=False)]
    return single.pivot(index=index, columns="set", values=value)


def _over_sets(rows: pd.DataFrame, spread: pd.DataFrame) -> pd.DataFrame:
    sets = list(rows.columns[rows.notna().any()])
    of_seeds = spread.reindex(index=rows.index, columns=sets)
    return rows.assign(
        mean=rows[sets].mean(axis=1, skipna=False),
        set_std=rows[sets].std(axis=1, skipna=False),
        seed_std=of_seeds.mean(axis=1, skipna=False),
    )


def _over_classes(wide: pd.DataFrame, paper: pd.DataFrame) -> pd.DataFrame:
    found = wide.reindex(columns=classes_of_mean(paper))
    mean = found.mean(axis=1, skipna=False)
    error = found.assign(mean=mean).std(axis=1, ddof=0, skipna=False)
    printed = papers_means(paper).reindex(wide.index.get_level_values("level")).set_axis(wide.index)
    is_papers = pd.Series(wide.index.get_level_values("source") == PAPER, index=wide.index) & mean.notna()
    return pd.DataFrame(
        {
            CLASS_MEAN: mean.mask(is_papers, printed["auroc"]),
            "error_magnitude": error.mask(is_papers, printed["error_magnitude"]),
        }
    )
