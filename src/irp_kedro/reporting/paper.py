"""The paper's own figures, to stand beside ours: the catalog's ``paper_results``, never measured here.

They stand only beside cells that they can be compared with: of a set that is called as the paper calls it, at a
level that is defined as the paper's (decisions 0006 and 0032).
"""

import pandas as pd

MEAN = "MEAN"  # stands for the class in the rows of the paper's means over the classes of MVTec AD
SOURCE_OF_MEAN = "mvtec_ad"
DEFINITION = "pool_fraction"


def papers_sets(paper: pd.DataFrame) -> pd.DataFrame:
    """Return one row a set and level: ``set_name, definition, level, auroc, good, bad``.

    Args:
        paper: the catalog's ``paper_results``.
    """
    sets = paper[paper["product_class"] != MEAN]
    names = sets["product_class"].where(sets["product_class"] != "", sets["dataset"])
    told = sets.assign(set_name=names, definition=DEFINITION).astype({"good": int, "bad": int})
    return told[["set_name", "definition", "level", "auroc", "good", "bad"]].reset_index(drop=True)


def papers_means(paper: pd.DataFrame) -> pd.DataFrame:
    """Return the paper's mean AUROC over its classes of MVTec AD and its error magnitude, by level.

    Args:
        paper: the catalog's ``paper_results``.
    """
    means = paper[paper["product_class"] == MEAN].set_index("level")[["auroc", "error_magnitude"]]
    return means.astype(float)


def classes_of_mean(paper: pd.DataFrame) -> list[str]:
    """Return the classes that the paper's mean is over."""
    of_source = paper[(paper["dataset"] == SOURCE_OF_MEAN) & (paper["product_class"] != MEAN)]
    return sorted(set(of_source["product_class"]))


def of_set(paper: pd.DataFrame, name: str, definition: str) -> pd.DataFrame:
    """Return the paper's rows of one of our sets; none where they cannot be compared.

    Args:
        paper: the catalog's ``paper_results``.
        name: how our set is called.
        definition: of our levels.
    """
    theirs = papers_sets(paper)
    return theirs[(theirs["set_name"] == name) & (theirs["definition"] == definition)]
