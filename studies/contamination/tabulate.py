"""Lay the summaries of the study's cells side by side: python studies/contamination/tabulate.py SUMMARIES.

SUMMARIES is the folder with one folder a cell; those that params.yaml does not name are left out. Beside this
file it writes ``results.csv``, one row a cell and strategy, and two tables of means over classes and seeds by
level: ``auroc_by_level.csv``, one column a strategy and one for the spread over seeds of its mean over the
classes, and ``removals_by_level.csv``, of iterative_refinement.
"""

import itertools
import sys
from pathlib import Path

import pandas as pd
import yaml

HERE = Path(__file__).parent


def read_cells(summaries: Path, classes: list[str], levels: list[float], seeds: list[int]) -> pd.DataFrame:
    """Return the summaries of every class, level and seed; a cell that has not run is an error."""
    cells = itertools.product(classes, levels, seeds)
    paths = [summaries / f"{name}-level{level}-seed{seed}" / "summary.csv" for name, level, seed in cells]
    return pd.concat([pd.read_csv(path) for path in paths], ignore_index=True)


def main() -> None:
    """Read the cells that params.yaml names and write the three tables."""
    study = yaml.safe_load((HERE / "params.yaml").read_text(encoding="utf-8"))
    cells = read_cells(Path(sys.argv[1]), study["classes"], study["levels"], study["seeds"])
    cells.to_csv(HERE / "results.csv", index=False)
    by_seed = cells.pivot_table(index=["level", "seed"], columns="strategy", values="image_auroc", sort=False)
    levels = by_seed.groupby("level")
    levels.mean().join(levels.std().add_suffix("_seed_std")).to_csv(HERE / "auroc_by_level.csv")
    refined = cells[cells["strategy"] == "iterative_refinement"]
    removals = refined.groupby("level")[["bad_removed", "good_removed"]].mean()
    removals.to_csv(HERE / "removals_by_level.csv")


if __name__ == "__main__":
    main()
