"""The report of one cell as one HTML file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from irp_kedro.reporting.charts import readable
from irp_kedro.reporting.gallery import NEAR, REMOVED, GalleryImage
from irp_kedro.reporting.headline import facts, headline
from irp_kedro.reporting.pages import Row, ShownTable, as_table, render

MAIN = "iterative_refinement"
STRATEGY_COLUMNS = {
    "strategy": "strategy",
    "image_auroc": "image AUROC",
    "image_auroc_low": "95 % from",
    "image_auroc_high": "to",
    "average_precision": "average precision",
    "f1": "F1",
    "false_alarm_rate": "false alarms",
    "fpr_at_95_tpr": "FPR at 95 % TPR",
    "pixel_auroc": "pixel AUROC",
    "aupro": "AUPRO",
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
    "peak_memory_mb": "peak memory, MB",
}
ACQUISITION = (
    "The injected defects were photographed with the test images, not with the training images. Part of what "
    "sets them apart may be how they were photographed, so that a removal is easier here than on a line."
)


@dataclass(frozen=True, kw_only=True)
class CellResults:
    """All that the page of a cell shows.

    Attributes:
        summary: one row a strategy, and the oracle.
        parameters: of the cell, complete.
        metrics: of each strategy, and of ``oracle``.
        types: metrics by type of defect, by strategy.
        history: cycles of iterative refinement.
        lineage: records of its snapshots.
        gallery: images to look at.
        review: decisions that this run honoured; maybe none.
        figures: by catalog name.
    """

    summary: pd.DataFrame
    parameters: Mapping[str, Any]
    metrics: Mapping[str, Mapping[str, Any]]
    types: Mapping[str, pd.DataFrame]
    history: pd.DataFrame
    lineage: pd.DataFrame
    gallery: Sequence[GalleryImage]
    review: pd.DataFrame
    figures: Mapping[str, Any]


def cell_page(results: CellResults) -> str:
    """Return the page: headline, gallery with review, loop, detector, lineage, cost and settings."""
    refined, first = results.metrics[MAIN], results.summary.iloc[0]
    removed = [image for image in results.gallery if image.group == REMOVED]
    near = [image for image in results.gallery if image.group == NEAR]
    scores = [image.score for image in results.gallery if image.score is not None]
    page = {
        "cell": first["cell"],
        "title": _title(first),
        "overview": "../report.html",
        "labels_known": refined["image"]["labels_known"],
        "headline": headline(results.metrics["vanilla"], refined, results.metrics["oracle"]),
        "facts": facts(results.metrics["vanilla"], refined),
        "notes": _notes(results),
        "removed": removed,
        "removed_intro": _intro(removed, refined["removals"]["n_removed"]),
        "near": near,
        "top": max([1e-9, *scores]),
        "figures": results.figures,
        **_tables(results),
        "review": {
            "cell": first["cell"],
            "earlier": results.review.astype(str).to_dict("records"),
        },
    }
    return render("cell.html.j2", page)


def _tables(results: CellResults) -> dict[str, ShownTable]:
    summary = results.summary.assign(strategy=results.summary["strategy"].map(readable))
    types = [table.assign(strategy=readable(name)) for name, table in results.types.items() if len(table)]
    by_type = pd.concat(types).sort_values(["defect_type", "strategy"]) if types else pd.DataFrame()
    stop = results.history["stop"].iloc[-1]
    return {
        "strategies": as_table(
            summary,
            STRATEGY_COLUMNS,
            caption="Strategies side by side. The threshold of F1 and false alarms was "
            "stored with each model before any test label was read.",
            entries=["summary_table", f"{MAIN}.metrics"],
        ),
        "types": as_table(
            by_type,
            TYPE_COLUMNS,
            texts=2,
            caption="By type of defect; AUROC is against all good test images.",
            entries=[f"{name}.metrics_by_type" for name in results.types],
        ),
        "cycles": as_table(
            results.history,
            CYCLE_COLUMNS,
            caption=f"The cycles of iterative refinement. It ended: {stop}.",
            entries=[f"{MAIN}.cycle_history"],
            texts=0,
        ),
        "snapshots": as_table(
            results.lineage.assign(cycle=[f"cycle_{cycle:03d}" for cycle in results.lineage["cycle"]]),
            SNAPSHOT_COLUMNS,
            caption="Snapshots of iterative refinement; the parent of each is the one before it.",
            entries=[f"{MAIN}.lineage", f"{MAIN}.snapshots"],
        ),
        "provenance": _provenance(results.lineage.iloc[-1]),
        "cost": as_table(
            summary,
            COST_COLUMNS,
            caption="Extraction is shared by the strategies, and by every later run; the loop "
            "is judging, removing and training.",
            entries=["summary_table"],
        ),
        "settings": ShownTable(
            caption="Every parameter of this cell.",
            columns=("parameter", "value"),
            entries=("cell_parameters",),
            rows=tuple(Row(cells=(key, str(value))) for key, value in _flat(results.parameters)),
            texts=2,
        ),
    }


def _title(first: pd.Series) -> str:
    dataset = f"{first['dataset']} {first['product_class']}" if first["product_class"] else first["dataset"]
    return f"What left the training set: {str(dataset).replace('_', ' ')}"


def _notes(results: CellResults) -> list[str]:
    notes = []
    if results.parameters["dataset"]["name"] == "mvtec_ad":
        notes.append(ACQUISITION)
    if len(results.review):
        counts = results.review["decision"].value_counts()
        told = ", ".join(f"{count} {decision}" for decision, count in counts.items())
        notes.append(f"This run honoured a review: {told}. Its digest is in the lineage below.")
    return notes


def _intro(removed: Sequence[GalleryImage], n_removed: int) -> str:
    shown = f"The first {len(removed)} of {n_removed} are shown. " if len(removed) < n_removed else ""
    return (
        f"{shown}The bar shows the score of each image when it left, the black line the threshold. Look at "
        "what was removed before you trust it, and decide where you disagree."
    )


def _provenance(record: pd.Series) -> ShownTable:
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


def _flat(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for key, value in tree.items():
        flat += _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [(prefix + key, value)]
    return flat
