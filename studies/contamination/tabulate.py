"""Lay the summaries of the study's cells side by side: python studies/contamination/tabulate.py SUMMARIES.

SUMMARIES is the folder with one folder a cell; those that params.yaml does not name are left out. Beside this
file it writes ``results.csv``, one row a cell and strategy, and two tables of means over the classes by level:
``auroc_by_level.csv``, one column a strategy, and ``removals_by_level.csv``, of iterative_refinement.
"""

import sys
from pathlib import Path

import pandas as pd
import yaml

HERE = Path(__file__).parent


def read_cells(summaries: Path, classes: list[str], levels: list[float]) -> pd.DataFrame:
    """Return the summaries of every class at every level; a cell that has not run is an error."""
    paths = [summaries / f"{name}-level{level}" / "summary.csv" for name in classes for level in levels]
    return pd.concat([pd.read_csv(path) for path in paths], ignore_index=True)


def main() -> None:
    """Read the cells that params.yaml names and write the three tables."""
    study = yaml.safe_load((HERE / "params.yaml").read_text(encoding="utf-8"))
    cells = read_cells(Path(sys.argv[1]), study["classes"], study["levels"])
    cells.to_csv(HERE / "results.csv", index=False)
    auroc = cells.pivot_table(index="level", columns="strategy", values="image_auroc", sort=False)
    auroc.sort_index().to_csv(HERE / "auroc_by_level.csv")
    refined = cells[cells["strategy"] == "iterative_refinement"]
    removals = refined.groupby("level")[["bad_removed", "good_removed"]].mean()
    removals.to_csv(HERE / "removals_by_level.csv")


if __name__ == "__main__":
    main()
