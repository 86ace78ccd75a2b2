"""The paper's own figures, to stand beside ours: read from ``paper_results.csv``, never measured here."""

from pathlib import Path

import pandas as pd

FILE = Path(__file__).with_name("paper_results.csv")
MEAN = "MEAN"  # stands for the class in the rows of the paper's means over the classes of MVTec AD


def paper_results() -> pd.DataFrame:
    """Return one row a set and level: ``dataset, product_class, level, auroc, good, bad``, all the paper's."""
    table = pd.read_csv(FILE, comment="#", keep_default_na=False, dtype={"product_class": str})
    sets = table[table["product_class"] != MEAN].drop(columns="error_magnitude")
    return sets.astype({"good": int, "bad": int}).reset_index(drop=True)
