"""The tables of one cell's report, written out."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from irp_kedro.core.bootstrap import METRICS
from irp_kedro.reporting.cell_command import flat
from irp_kedro.reporting.charts import readable
from irp_kedro.reporting.pages import Row, ShownTable, as_table, number

MAIN = "iterative_refinement"
DETECTION_COLUMNS = {
    "strategy": "strategy",
    "image_auroc": "image AUROC",
    "average_precision": "average precision",
    "f1": "F1",
    "false_alarm_rate": "false alarms",
    "fpr_at_95_tpr": "FPR at 95 % TPR",
    "pixel_auroc": "pixel AUROC",
    "aupro": "AUPRO",
}
PIXELS_OF_ALL = (
    " Pixel AUROC and AUPRO compare pixels of all images, and a map rises with the score of its image: "
    "they say as much of the scores as of the places."
)
INTERVAL_COLUMNS = {"strategy": "strategy"} | {name: DETECTION_COLUMNS[name] for name in METRICS}
REMOVAL_COLUMNS = {
    "strategy": "strategy",
    "n_removed": "removed",
    "bad_removed": "defects",
    "good_removed": "good",
    "removal_precision": "precision",
    "removal_recall": "recall",
    "false_removal_rate": "false removals",
    "ranking_average_precision": "ranking AP",
}
TYPE_COLUMNS = {
    "defect_type": "type of defect",
    "strategy": "strategy",
    "test_images": "test images",
    "image_auroc": "image AUROC",
    "image_auroc_low": "95 % from",
    "image_auroc_high": "to",
    "found": "found at the threshold",
    "pixel_auroc": "pixel AUROC",
    "aupro": "AUPRO",
    "injected": "injected",
    "removed": "removed",
}
CYCLE_COLUMNS = {
    "cycle": "cycle",
    "images": "images left",
    "removed": "removed",
    "restored": "restored",
    "above_threshold": "above threshold",
    "doubtful": "in doubt",
    "variants": "of a variant",
    "median_score": "median score",
    "threshold": "threshold",
    "epochs": "epochs so far",
    "last_loss": "last loss",
    "seconds": "seconds",
}
SNAPSHOT_COLUMNS = {
    "cycle": "snapshot",
    "images": "images",
    "removed": "removed",
    "restored": "restored",
    "tree": "set (DVC object)",
    "model": "model",
    "time": "written",
}
COST_COLUMNS = {
    "strategy": "strategy",
    "extraction_seconds": "extraction, s",
    "extraction_images_per_second": "images/s",
    "patch_extraction_seconds": "patches, s",
    "refinement_seconds": "loop, s",
    "refinement_images_per_second": "training images/s",
    "threshold_seconds": "threshold, s",
}
PEAK = "process_peak_memory_mb"


def detection_table(summary: pd.DataFrame) -> ShownTable:
    """Return metrics of the detectors, one row a strategy."""
    mapped = "pixel_auroc" in summary and summary["pixel_auroc"].notna().any()
    return as_table(
        summary.assign(strategy=summary["strategy"].map(readable)),
        DETECTION_COLUMNS,
        caption="Strategies side by side. The threshold of F1 and false alarms was stored with each model "
        "before any test label was read." + (PIXELS_OF_ALL if mapped else ""),
        entries=["summary_table", *_of_each(summary, "metrics"), *_of_each(summary, "threshold_record")],
    )


def intervals_table(summary: pd.DataFrame) -> ShownTable:
    """Return the 95 % bootstrap interval of each image metric in words, one row a strategy."""
    shown = pd.DataFrame({"strategy": summary["strategy"].map(readable)})
    for name in METRICS:
        ends = zip(summary.get(f"{name}_low", []), summary.get(f"{name}_high", []), strict=True)
        words = [f"{number(low)} to {number(high)}" if pd.notna(low) else None for low, high in ends]
        if any(words):
            shown[name] = words
    return as_table(
        shown,
        INTERVAL_COLUMNS,
        caption="95 % bootstrap intervals of the same: how far each would move on another draw of test images.",
        entries=["summary_table", *_of_each(summary, "metrics")],
    )


def removals_table(summary: pd.DataFrame) -> ShownTable:
    """Return what each strategy removed, and how right that was where labels are known."""
    refining = summary[summary["n_removed"].notna()]
    return as_table(
        refining.assign(strategy=refining["strategy"].map(readable)),
        REMOVAL_COLUMNS,
        caption="What each strategy removed. False removals are a share of all good images; ranking AP is the "
        "average precision of the order in which images were suspected.",
        entries=["summary_table", *_of_each(refining, "metrics"), *_of_each(refining, "removal_audit")],
    )


def types_table(types: Mapping[str, pd.DataFrame]) -> ShownTable:
    """Return metrics and removals, one row a type of defect and strategy."""
    known = [table.assign(strategy=readable(name)) for name, table in types.items() if len(table)]
    return as_table(
        pd.concat(known).sort_values(["defect_type", "strategy"]) if known else pd.DataFrame(),
        TYPE_COLUMNS,
        texts=2,
        caption="By type of defect; AUROC is against all good test images, pixel metrics are of the maps.",
        entries=[f"{name}.{entry}" for name in types for entry in ("metrics_by_type", "pixel_metrics")],
    )


def cycles_table(history: pd.DataFrame) -> ShownTable:
    """Return what each cycle did."""
    return as_table(
        history,
        CYCLE_COLUMNS,
        caption=f"The cycles of iterative refinement. It ended: {history['stop'].iloc[-1]}.",
        entries=[f"{MAIN}.cycle_history"],
        texts=0,
    )


def snapshots_table(lineage: pd.DataFrame) -> ShownTable:
    """Return the snapshots, one row a cycle."""
    return as_table(
        lineage.assign(cycle=[f"cycle_{cycle:03d}" for cycle in lineage["cycle"]]),
        SNAPSHOT_COLUMNS,
        caption="Snapshots of iterative refinement; the parent of each is the one before it.",
        entries=[f"{MAIN}.lineage", f"{MAIN}.snapshots"],
    )


def cost_table(summary: pd.DataFrame) -> ShownTable:
    """Return seconds and images a second by strategy, and the memory of the process that ran them all."""
    peak = (
        f" The memory of the whole process peaked at {summary[PEAK].max():.0f} MB." if PEAK in summary else ""
    )
    return as_table(
        summary.assign(strategy=summary["strategy"].map(readable)),
        COST_COLUMNS,
        caption="Extraction is shared by the strategies, and by every later run; the loop is judging, removing "
        f"and training, of the oracle training alone.{peak}",
        entries=["summary_table", *_of_each(summary, "metrics"), "feature_bank_record", "patch_bank_record"],
    )


def settings_table(parameters: Mapping[str, Any]) -> ShownTable:
    """Return every parameter by its dotted name."""
    return ShownTable(
        caption="Every parameter of this cell.",
        columns=("parameter", "value"),
        rows=tuple(Row(cells=(key, str(value))) for key, value in flat(parameters)),
        entries=("cell_parameters",),
        texts=2,
    )


def provenance_table(record: pd.Series) -> ShownTable:
    """Return where all snapshots of a run come from."""
    rows = {
        "run": record["run"],
        "parameters": record["parameters"],
        "source images and labels": record["source_manifest"],
        "contamination": record["contamination_record"],
        "features": record["feature_bank"],
        "review": record.get("review", ""),
        "model": record["model"],
        "code revision": record["code_revision"] + (" (changed since)" if record["code_changed"] else ""),
        "source files that ran": record["code"],
        "device": record["device"],
        "software": ", ".join(f"{name} {version}" for name, version in record["versions"].items()),
    }
    return ShownTable(
        caption="Where all snapshots of this run come from: digests, code and software.",
        columns=("what", "digest or version"),
        rows=tuple(Row(cells=(name, str(value))) for name, value in rows.items() if value),
        entries=(f"{MAIN}.lineage",),
        texts=2,
    )


def _of_each(summary: pd.DataFrame, entry: str) -> list[str]:
    """Return the catalog entry of each strategy that a table has a row of; the oracle keeps metrics only."""
    kept = [name for name in summary["strategy"] if name != "oracle" or entry == "metrics"]
    return [f"{name}.{entry}" for name in kept]
