"""Results as tables: one row a strategy, then the paper's Tables 1 and 2 over all cells."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from rich import box
from rich.cells import cell_len
from rich.table import Table

from irp_kedro.core.bootstrap import METRICS
from irp_kedro.naming import cell_name, result_digest
from irp_kedro.parameters import STRATEGIES, Parameters, check_parameters
from irp_kedro.reporting.sets import identified, set_digest, set_name

SHOWN = {
    "image_auroc": "image AUROC",
    "image_auroc_low": "95 % from",
    "image_auroc_high": "to",
    "average_precision": "AP",
    "f1": "F1",
    "false_alarm_rate": "false alarms",
    "fpr_at_95_tpr": "FPR at 95 % TPR",
    "pixel_auroc": "pixel AUROC",
    "aupro": "AUPRO",
    "n_removed": "removed",
    "bad_removed": "bad",
    "good_removed": "good",
    "removal_precision": "precision",
    "removal_recall": "recall",
    "false_removal_rate": "false removals",
    "ranking_average_precision": "ranking AP",
    "refinement_seconds": "seconds",
}


def summarise(parameters: Mapping[str, Any], metrics: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Return one row a strategy, the oracle last where there is one.

    Args:
        parameters: of the cell, complete.
        metrics: of each strategy, and of ``oracle``.
    """
    checked = check_parameters(parameters)
    cell = {
        "cell": cell_name(checked),
        "dataset": checked.dataset.name,
        "product_class": checked.dataset.product_class,
        "level": checked.contamination.level,
        "definition": checked.contamination.definition,
        "achieved_contamination": metrics["vanilla"]["achieved_contamination"],
        "detector": checked.detector,
        "seed": checked.seed,
        "setting": result_digest(checked.model_copy(update={"seed": 0})),
        "configuration": configuration_digest(checked),
        "set_name": set_name(checked),
        "set_digest": set_digest(checked),
    }
    rows = [{**cell, "strategy": name, **_strategy_row(metrics[name])} for name in STRATEGIES]
    if metrics["oracle"]["available"]:
        oracle = {
            **_image_row(metrics["oracle"]["image"]),
            "refinement_seconds": metrics["oracle"].get("seconds"),
        }
        rows.append({**cell, "strategy": "oracle", **oracle})
    return pd.DataFrame(rows)


def configuration_digest(parameters: Parameters) -> str:
    """Return 8 hex digits that identify how a set is refined and measured, whatever set, level and seed are."""
    level = parameters.contamination.model_copy(update={"level": Parameters().contamination.level})
    anywhere = {
        "seed": 0,
        "contamination": level,
        "dataset": Parameters().dataset,
        "sample": Parameters().sample,
    }
    return result_digest(parameters.model_copy(update=anywhere))


def as_markdown(summary: pd.DataFrame) -> str:
    """Return a page that shows the summary and says what its columns mean."""
    first = summary.iloc[0]
    shown = [column for column in SHOWN if column in summary and summary[column].notna().any()]
    header = "| strategy | " + " | ".join(SHOWN[column] for column in shown) + " |"
    rule = "|---|" + "---:|" * len(shown)
    body = [
        f"| {row['strategy']} | " + " | ".join(_format(column, row[column]) for column in shown) + " |"
        for _, row in summary.iterrows()
    ]
    return "\n".join([f"# {first['cell']}", "", describe(summary), "", header, rule, *body, "", LEGEND, ""])


def as_terminal_table(summary: pd.DataFrame) -> Table:
    """Return the summary for a terminal of 80 columns."""
    title = str(summary.iloc[0]["cell"])
    # A title wraps at the width of its table: a name that is cut in two cannot be copied.
    table = Table(
        title=title, min_width=cell_len(title), box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False
    )
    table.add_column("strategy", no_wrap=True)
    columns = {name: values for name, values in _terminal_columns(summary).items() if set(values) != {"-"}}
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    for strategy, *values in zip(summary["strategy"], *columns.values(), strict=True):
        table.add_row(strategy, *values)
    return table


def _terminal_columns(summary: pd.DataFrame) -> dict[str, list[str]]:
    def shown(column: str) -> list[str]:
        return [_format(column, value) for value in summary.get(column, pd.Series(index=summary.index))]

    low, high = shown("image_auroc_low"), shown("image_auroc_high")
    interval = ["-" if a == "-" else f"{a[1:]}-{b.removeprefix('0')}" for a, b in zip(low, high, strict=True)]
    # Where labels are known, bad and good say more than their sum; 80 columns do not hold everything.
    labelled = {"bad": shown("bad_removed"), "good": shown("good_removed")}
    known = any(value != "-" for value in labelled["bad"])
    removed = labelled if known else {"removed": shown("n_removed")}
    return {
        "AUROC": shown("image_auroc"),
        "95 %": interval,
        **removed,
        "prec.": shown("removal_precision"),
        "recall": shown("removal_recall"),
        "s": shown("refinement_seconds"),
    }


def describe(summary: pd.DataFrame) -> str:
    """Return how contaminated the training set was, as far as that is known."""
    first = summary.iloc[0]
    if pd.isna(first["achieved_contamination"]):
        return (
            "No label was known: how contaminated the set is, whether the removals are right and what else "
            "should leave, only a person can say. report.html shows what left and the next suspects."
        )
    achieved = 100 * first["achieved_contamination"]
    return (
        f"Level {first['level']:g} ({first['definition']}): {achieved:.1f} % of the training set is defective."
    )


def auroc_by_contamination(cells: pd.DataFrame) -> pd.DataFrame:
    """Return mean AUROC and its spread over seeds by set, strategy and level (the paper's Table 1)."""
    return _over_seeds(cells, {"image_auroc": "auroc"})


def removals_by_contamination(cells: pd.DataFrame) -> pd.DataFrame:
    """Return mean good and bad removals by set, strategy and level (the paper's Table 2)."""
    refining = cells[~cells["strategy"].isin(["vanilla", "oracle"])]
    if "bad_removed" not in refining:
        refining = refining.assign(bad_removed=float("nan"), good_removed=float("nan"))
    return _over_seeds(refining, {"good_removed": "good", "bad_removed": "bad"})


def _over_seeds(cells: pd.DataFrame, columns: Mapping[str, str]) -> pd.DataFrame:
    # "setting" digests every parameter but the seed: cells that differ in anything else are never averaged.
    keys = ["dataset", "product_class", "definition", "detector", "strategy", "level"]
    keys += ["setting", "configuration", "set_name", "set_digest"]
    grouped = identified(cells).groupby(keys)
    parts = [
        grouped[column].agg(["mean", "std"]).rename(columns={"mean": name, "std": f"{name}_seed_std"})
        for column, name in columns.items()
    ]
    return pd.concat([*parts, grouped["cell"].count().rename("cells")], axis=1).reset_index()


def _strategy_row(metrics: Mapping[str, Any]) -> dict[str, Any]:
    removals = metrics["removals"]
    return {
        **_image_row(metrics["image"]),
        "n_removed": removals["n_removed"],
        "bad_removed": removals.get("bad_removed"),
        "good_removed": removals.get("good_removed"),
        "removal_precision": removals.get("precision"),
        "removal_recall": removals.get("recall"),
        "false_removal_rate": removals.get("false_removal_rate"),
        "ranking_average_precision": removals.get("ranking_average_precision"),
        "pixel_auroc": metrics.get("pixel", {}).get("pixel_auroc"),
        "aupro": metrics.get("pixel", {}).get("aupro"),
        "cycles": metrics["loop"]["cycles"],
        **metrics["cost"],
    }


def _image_row(image: Mapping[str, Any]) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for name in METRICS:
        low, high = image.get(f"{name}_interval") or (None, None)
        row |= {name: image.get(name), f"{name}_low": low, f"{name}_high": high}
    return row


def _format(column: str, value: Any) -> str:  # noqa: ANN401 - a cell of a table
    if pd.isna(value):
        return "-"
    if column in {"n_removed", "bad_removed", "good_removed"}:
        return str(int(value))
    if column == "refinement_seconds":
        return f"{value:.1f}"
    return f"{value:.3f}"


LEGEND = """\
`image AUROC`, its 95 % bootstrap interval, average precision (`AP`) and `F1` are of the frozen test split; the
threshold of F1 and `false alarms` was stored with the model before any test label was read; `FPR at 95 % TPR`
is the share of good images flagged where 95 % of the defects are found. `removed` counts images that left
the training set: `bad` were injected defects, `good` were not. `false removals` is the share of good images
removed. `ranking AP` is the average precision of the order in which images were suspected. `oracle` is the same
detector on the truly clean set: the ceiling. `seconds` is the time of the loop, the oracle's of training."""
