"""How a set of images is called in tables and figures, and what tells two of one name apart."""

import hashlib
import json
from pathlib import PurePath

import pandas as pd

from irp_kedro.parameters import Parameters

# The second Kolektor set as folders and archives of it are called; the first one has the same layout.
KSDD2_NAMES = {"ksdd2", "kolektorsdd2"}
ARCHIVES = {".zip", ".tar", ".gz", ".xz", ".tgz", ".txz"}
EARLIER = "earlier version"  # a cell of it does not say which images it had


def set_name(parameters: Parameters) -> str:
    """Return how the set of a cell is called: its class, the last part of its path, or its source.

    >>> set_name(Parameters(dataset={"name": "mvtec_ad", "product_class": "pill", "path": "copies/mvtec"}))
    'pill'
    >>> set_name(Parameters(dataset={"name": "ksdd2", "path": "images/KolektorSDD2.zip"}))
    'ksdd2'
    >>> set_name(Parameters(dataset={"name": "ksdd2", "path": "images/KolektorSDD"}))
    'KolektorSDD'
    >>> set_name(Parameters())
    'sample'
    """
    dataset = parameters.dataset
    path = PurePath(dataset.path)
    while path.suffix.lower() in ARCHIVES:
        path = path.with_suffix("")
    if dataset.name == "ksdd2" and path.name.lower().replace("_", "").replace("-", "") in KSDD2_NAMES:
        return dataset.name
    return dataset.product_class or path.name or dataset.name


def set_digest(parameters: Parameters) -> str:
    """Return 8 hex digits of what chooses the images, whatever is done to them."""
    dataset = parameters.dataset.model_dump(mode="json")
    if dataset["path"]:
        dataset["path"] = PurePath(dataset["path"]).as_posix()
    sample = parameters.sample.model_dump(mode="json") if dataset["name"] == "sample" else None
    tree = json.dumps({"dataset": dataset, "sample": sample}, sort_keys=True)
    return hashlib.sha256(tree.encode()).hexdigest()[:8]


def identified(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the cells with everything filled in that says which set and configuration they are of.

    A cell of an earlier version states neither; where it has no class, its set is called so.

    Args:
        cells: one row a cell and strategy, or a table made of them, perhaps read back from a file.
    """
    texts = ("product_class", "configuration", "set_name", "set_digest")
    known = {name: cells[name].fillna("") if name in cells else "" for name in texts}
    table = cells.assign(**known)
    unnamed = table["dataset"] + f" ({EARLIER})"
    stated = table["set_name"].where(table["set_name"] != "", table["product_class"])
    return table.assign(set_name=stated.where(stated != "", unnamed))


def told_apart(names: pd.Series, digests: pd.Series, *, taken: frozenset[str] = frozenset()) -> pd.Series:
    """Return the names, each with its digest where it stands for several sets or is taken otherwise.

    >>> told_apart(pd.Series(["a", "a", "b"]), pd.Series(["1", "2", "3"])).tolist()
    ['a (1)', 'a (2)', 'b']
    """
    several = digests.groupby(names).transform("nunique") > 1
    full = names + " (" + digests.where(digests != "", EARLIER) + ")"
    return full.where(several | names.isin(taken), names)
