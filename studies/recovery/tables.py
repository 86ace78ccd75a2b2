"""Print the tables of docs/RESULTS.md from a finished grid, in Markdown.

    kedro irp grid --grid studies/recovery/grid.yml --set images=FOLDER
    python studies/recovery/tables.py

``--grid NAME`` reads another grid's results; without an axis called method its cells count as base.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console

REPORTS = Path(__file__).parents[2] / "data" / "08_reporting"
REFINED = "iterative_refinement"
ONCE = {"soft_patch", "mad once gaussian", "isolation_forest", "local_outlier_factor"}  # judge a single time


def read_results(reports: Path, grid: str) -> pd.DataFrame:
    """Return one row a cell and strategy, with the columns contaminated, method and injected (bad images)."""
    file = reports / "grid" / grid / "results.csv"
    if not file.is_file():
        raise SystemExit(f"{file} does not exist; run first: kedro irp grid --grid FILE (its name: {grid})")
    results = pd.read_csv(file)
    labels = [_labels(variant) for variant in results["variant"]]
    added = np.where(results["definition"] == "added_fraction", "added ", "")
    results["contaminated"] = [
        f"{prefix}{level:g}" for prefix, level in zip(added, results["level"], strict=True)
    ]
    results["method"] = [label.get("method", "base") for label in labels]
    results["injected"] = [
        types["injected"].sum() if len(types := _by_defect_type(reports, cell)) else 0
        for cell in results["cell"]
    ]
    return results


def recovery(refined: Sequence[float], vanilla: Sequence[float], oracle: Sequence[float]) -> str:
    """Return the mean share of the lost AUROC that was won back, where the loss is clear (decision 0011)."""
    lost = np.array(oracle) - np.array(vanilla)
    won = np.array(refined) - np.array(vanilla)
    error = lost.std(ddof=1) / np.sqrt(len(lost)) if len(lost) > 1 else np.inf
    return f"{won.mean() / lost.mean():.2f}" if lost.mean() > 2 * error else f"({won.mean():+.3f})"


def main_table(results: pd.DataFrame) -> list[str]:
    """Return the table of the default configuration against vanilla, the paper's rule and the oracle."""
    rows = []
    for (dataset, contaminated), group in results.groupby(["set", "contaminated"], sort=False):
        base, paper = (_refined(group, method) for method in ("base", "paper"))
        vanilla, oracle = (_of(group, "base", strategy) for strategy in ("vanilla", "oracle"))
        found, false = base["bad_removed"].sum(), base["good_removed"].sum()
        clean = base["injected"].sum() == 0
        cells = [
            str(dataset),
            str(contaminated),
            *[_spread(frame["image_auroc"]) for frame in (vanilla, paper, base, oracle)],
            "-" if clean else recovery(base["image_auroc"], vanilla["image_auroc"], oracle["image_auroc"]),
            _mean(paper["ranking_average_precision"]),
            _mean(base["ranking_average_precision"]),
            f"{_counts(base['bad_removed'])} of {base['injected'].iloc[0]}",
            _counts(base["good_removed"]),
            _share(found, found + false),
            _share(found, base["injected"].sum()),
        ]
        rows.append(cells)
    header = "set, contamination, vanilla, paper's rule, refined, oracle, recovery, AP by paper's rule, AP"
    return _markdown(f"{header}, bad removed, good removed, precision, recall".split(", "), rows)


def rivals_table(results: pd.DataFrame) -> list[str]:
    """Return average precision and removals of every method, first seed, where anything was injected."""
    first = results[(results["seed"] == results["seed"].min()) & (results["injected"] > 0)]
    columns = list(dict.fromkeys(first["set"] + " " + first["contaminated"]))
    methods = {str(method): _refined(first, str(method)) for method in dict.fromkeys(first["method"])}
    methods["one_shot_removal of base"] = _of(first, "base", "one_shot_removal")
    rows = []
    for method, own in methods.items():
        cells = own.set_index(own["set"] + " " + own["contaminated"])
        shown = [
            f"{cells.loc[column, 'ranking_average_precision']:.2f} ({cells.loc[column, 'bad_removed']:.0f}, "
            f"{cells.loc[column, 'good_removed']:.0f})"
            if column in cells.index
            else "-"
            for column in columns
        ]
        rows.append([method, *shown])
    return _markdown(["method", *columns], rows)


def defects_table(results: pd.DataFrame, reports: Path) -> list[str]:
    """Return how many of each defect type the default configuration removed, over all levels and seeds."""
    rows = []
    for dataset, group in _refined(results, "base").groupby("set", sort=False):
        types = pd.concat([_by_defect_type(reports, cell) for cell in group["cell"]])
        for defect, counts in types.groupby("defect_type")[["injected", "removed"]].sum().iterrows():
            bad, removed = int(counts["injected"]), int(counts["removed"])
            rows.append([str(dataset), str(defect), str(bad), str(removed), _share(removed, bad)])
    return _markdown(["set", "defect type", "injected", "removed", "share"], rows)


def cost_table(results: pd.DataFrame) -> list[str]:
    """Return seconds of vanilla training and of judging, refining and training, means over cells."""
    rows = []
    for dataset, group in results.groupby("set", sort=False):
        vanilla, refined = (
            _of(group, "base", strategy)["refinement_seconds"].mean() for strategy in ("vanilla", REFINED)
        )
        rows.append([str(dataset), f"{vanilla:.1f}", f"{refined:.1f}", f"{refined / vanilla:.2f}"])
    return _markdown(["set", "vanilla, s", "refined, s", "ratio"], rows)


def once_table(results: pd.DataFrame) -> list[str]:
    """Return AUROC and removals by seed of the default judges asked once, and in every cycle."""
    rows = []
    for (dataset, contaminated), group in results.groupby(["set", "contaminated"], sort=False):
        both = [_of(group, "base", strategy) for strategy in ("one_shot_removal", REFINED)]
        aurocs = [_spread(frame["image_auroc"]) for frame in both]
        removed = [f"{_counts(frame['good_removed'])} / {_counts(frame['bad_removed'])}" for frame in both]
        rows.append([str(dataset), str(contaminated), *aurocs, *removed])
    strategies = ["one_shot_removal", "iterative_refinement"]
    return _markdown(["set", "contamination", *strategies, "good / bad removed, one-shot", "iterative"], rows)


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


def _labels(variant: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in variant.split(", ") if "=" in part)


def _by_defect_type(reports: Path, cell: str) -> pd.DataFrame:
    file = reports / cell / REFINED / "metrics_by_type.csv"
    return pd.read_csv(file) if file.stat().st_size > 1 else pd.DataFrame()


def _of(results: pd.DataFrame, method: str, strategy: str) -> pd.DataFrame:
    return results[(results["method"] == method) & (results["strategy"] == strategy)].sort_values("seed")


def _refined(results: pd.DataFrame, method: str) -> pd.DataFrame:
    return _of(results, method, "one_shot_removal" if method in ONCE else REFINED)


def _spread(values: pd.Series) -> str:
    if values.empty:
        return "-"
    return f"{values.mean():.3f} ± {values.std(ddof=1) if len(values) > 1 else 0:.3f}"


def _mean(values: pd.Series) -> str:
    return f"{values.mean():.2f}" if len(values) and values.notna().all() else "-"


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.2f}" if whole else "-"


def _counts(values: pd.Series) -> str:
    return " ".join(str(int(value)) for value in values)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grid", default="recovery", help="name of a finished grid")
    parser.add_argument("--reports", type=Path, default=REPORTS, help="data/08_reporting of its data root")
    options = parser.parse_args()
    results = read_results(options.reports, options.grid)
    console = Console(width=400, highlight=False)
    for title, table in (
        ("Default configuration", main_table(results)),
        ("Rivals, first seed: average precision (bad removed, good removed)", rivals_table(results)),
        ("By defect type", defects_table(results, options.reports)),
        ("Cost", cost_table(results)),
        ("One-shot removal and refinement", once_table(results)),
    ):
        console.print(f"\n### {title}\n", markup=False)
        for line in table:
            console.print(line, markup=False, soft_wrap=True)


if __name__ == "__main__":
    main()
