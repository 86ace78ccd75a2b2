"""Print the tables of the recovery study from the results that run.py kept, in Markdown."""

import argparse
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console

KEPT = Path(__file__).parents[2] / "data" / "studies" / "recovery"
logger = logging.getLogger(__name__)
MAIN = "iterative_refinement"


def read_results(folder: Path) -> pd.DataFrame:
    """Return one row a cell."""
    rows = []
    for file in sorted(folder.glob("*.json")):
        result: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        test, removals = result["test"], result["removals"]
        rows.append(
            {
                **{key: result[key] for key in ("set", "contamination", "seed", "method", "seconds", "stop")},
                "auroc": test["image_auroc"],
                "average_precision": removals["ranking_average_precision"],
                "bad_removed": removals["bad_removed"],
                "good_removed": removals["good_removed"],
                "bad": removals["bad_removed"] + removals["bad_left"],
                "images": removals["n_images"],
                "by_defect_type": result["by_defect_type"],
            }
        )
    return pd.DataFrame(rows)


def recovery(refined: Sequence[float], vanilla: Sequence[float], oracle: Sequence[float]) -> str:
    """Return the mean share of the lost AUROC that was won back, where the loss is clear (decision 0011)."""
    lost = np.array(oracle) - np.array(vanilla)
    won = np.array(refined) - np.array(vanilla)
    error = lost.std(ddof=1) / np.sqrt(len(lost)) if len(lost) > 1 else np.inf
    return f"{won.mean() / lost.mean():.2f}" if lost.mean() > 2 * error else f"({won.mean():+.3f})"


def main_table(results: pd.DataFrame) -> list[str]:
    """Return the table of the default configuration against vanilla, the paper's rule and the oracle."""
    lines = [
        "| set | contamination | vanilla | paper's rule | refined | oracle | recovery | AP, paper's rule | AP |"
        " bad removed | good removed | precision | recall |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for (dataset, contamination), group in results.groupby(["set", "contamination"], sort=False):
        by_method = {method: rows.sort_values("seed") for method, rows in group.groupby("method")}
        if MAIN not in by_method or "paper's rule" not in by_method:
            continue  # not finished
        oracle = results[(results["set"] == dataset) & (results["method"] == "oracle")].sort_values("seed")
        vanilla, refined, paper = by_method.get("vanilla", oracle), by_method[MAIN], by_method["paper's rule"]
        found, false = refined["bad_removed"].sum(), refined["good_removed"].sum()
        aurocs = [frame["auroc"] for frame in (vanilla, paper, refined, oracle)]
        cells = [
            str(dataset),
            str(contamination),
            *map(_spread, aurocs),
            recovery(refined["auroc"], vanilla["auroc"], oracle["auroc"]) if "vanilla" in by_method else "-",
            _mean(paper["average_precision"]),
            _mean(refined["average_precision"]),
            f"{_counts(refined['bad_removed'])} of {refined['bad'].iloc[0]}",
            _counts(refined["good_removed"]),
            _share(found, found + false),
            _share(found, refined["bad"].sum()),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def rivals_table(results: pd.DataFrame) -> list[str]:
    """Return average precision and removals of every method with seed 0, where anything was contaminated."""
    first = results[(results["seed"] == 0) & results["average_precision"].notna()]
    first = first[~first["method"].isin(["oracle", "vanilla"])]
    lines = ["| method | " + " | ".join(_columns(first)) + " |", "|---" * (len(_columns(first)) + 1) + "|"]
    for method, group in first.groupby("method", sort=False):
        cells = group.set_index(group["set"] + " " + group["contamination"])
        shown = [
            f"{cells.loc[column, 'average_precision']:.2f} ({cells.loc[column, 'bad_removed']}, "
            f"{cells.loc[column, 'good_removed']})"
            if column in cells.index
            else "-"
            for column in _columns(first)
        ]
        lines.append(f"| {method} | " + " | ".join(shown) + " |")
    return lines


def defects_table(results: pd.DataFrame) -> list[str]:
    """Return how many of each defect type the default configuration removed, over all levels and seeds."""
    lines = ["| set | defect type | injected | removed | share |", "|---|---|---|---|---|"]
    for dataset, group in results[results["method"] == MAIN].groupby("set", sort=False):
        counts: dict[str, list[int]] = {}
        for told in group["by_defect_type"]:
            for defect, count in told.items():
                total = counts.setdefault(defect, [0, 0])
                total[0] += count["bad"]
                total[1] += count["removed"]
        lines += [
            f"| {dataset} | {defect} | {bad} | {removed} | {removed / bad:.2f} |"
            for defect, (bad, removed) in sorted(counts.items())
        ]
    return lines


def cost_table(results: pd.DataFrame) -> list[str]:
    """Return seconds of vanilla training and of judging, refining and training, means over cells."""
    lines = ["| set | vanilla, s | refined, s | ratio |", "|---|---|---|---|"]
    for dataset, group in results.groupby("set", sort=False):
        vanilla = group.loc[group["method"].isin(["vanilla", "oracle"]), "seconds"].mean()
        refined = group.loc[group["method"] == MAIN, "seconds"].mean()
        lines.append(f"| {dataset} | {vanilla:.1f} | {refined:.1f} | {refined / vanilla:.2f} |")
    return lines


def _columns(results: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(results["set"] + " " + results["contamination"]))


def _spread(values: pd.Series) -> str:
    return f"{values.mean():.3f} ± {values.std(ddof=1) if len(values) > 1 else 0:.3f}"


def _mean(values: pd.Series) -> str:
    return f"{values.mean():.2f}" if values.notna().all() else "-"


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.2f}" if whole else "-"


def _counts(values: pd.Series) -> str:
    return " ".join(str(int(value)) for value in values)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kept", type=Path, default=KEPT, help="where run.py kept the results")
    results = read_results(parser.parse_args().kept)
    order = {name: place for place, name in enumerate(["sample", "kolektor", "pill", "screw"])}
    results = results.sort_values(
        ["set", "contamination", "seed"], key=lambda c: c.map(order) if c.name == "set" else c
    )
    console = Console(width=400, highlight=False)
    for title, table in (
        ("Default configuration", main_table(results)),
        ("Rivals, seed 0: average precision (bad removed, good removed)", rivals_table(results)),
        ("By defect type", defects_table(results)),
        ("Cost", cost_table(results)),
    ):
        console.print(f"\n### {title}\n", markup=False)
        for line in table:
            console.print(line, markup=False, soft_wrap=True)


if __name__ == "__main__":
    main()
