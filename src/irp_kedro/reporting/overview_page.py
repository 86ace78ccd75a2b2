"""The report over all cells found, as one HTML file."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from irp_kedro.reporting.charts import readable
from irp_kedro.reporting.headline import percent
from irp_kedro.reporting.pages import ShownTable, as_table, render
from irp_kedro.reporting.paper_tables import CONFIGURATION, PAPER, named_sets

RECOVERY_COLUMNS = {
    "set": "set",
    "strategy": "strategy",
    "level": "level",
    "cells": "seeds",
    "vanilla": "vanilla",
    "refined": "refined",
    "oracle": "oracle",
    "gain": "gain",
    "lost": "lost to contamination",
    "lost_error": "its standard error",
    "recovery": "recovery",
}


@dataclass(frozen=True, kw_only=True)
class OverviewResults:
    """All that the page over all cells shows.

    Attributes:
        cells: one row a cell and strategy.
        table_1: AUROC in the paper's shape.
        table_2: removals in the paper's shape.
        recovery: by setting and strategy.
        figures: by catalog name.
    """

    cells: pd.DataFrame
    table_1: pd.DataFrame
    table_2: pd.DataFrame
    recovery: pd.DataFrame
    figures: Mapping[str, Any]


def overview_page(results: OverviewResults) -> str:
    """Return the page: the paper's figures and tables from our own cells, recovery, and a link to each cell."""
    names = list(dict.fromkeys(results.cells["cell"]))
    known = results.cells.get("image_auroc", pd.Series(dtype=float)).notna().any()
    plural = "cell" if len(names) == 1 else "cells"
    page = {
        "title": f"{len(names)} {plural} side by side",
        "headline": _headline(results.cells),
        "labels_known": bool(known),
        "figures": results.figures,
        "table_1": _by_configuration(
            results.table_1, "Table 1: image AUROC by level, strategy and set.", "table_1", counts=False
        ),
        "table_2": _by_configuration(
            results.table_2, "Table 2: good and bad images removed, means.", "table_2", counts=True
        ),
        "recovery": _recovery(results.recovery),
        "cells": [_link(name, results.cells[results.cells["cell"] == name]) for name in names],
    }
    return render("overview.html.j2", page)


def _by_configuration(table: pd.DataFrame, caption: str, entry: str, *, counts: bool) -> list[ShownTable]:
    shown = []
    for _, group in table.groupby(CONFIGURATION, sort=True):
        is_papers = list(group["source"] == PAPER)
        rows = group.assign(
            level=[percent(level) for level in group["level"]],
            source=group["source"].map({PAPER: "the paper"}).fillna("ours"),
            strategy=group["strategy"].map(readable),
        ).drop(columns=CONFIGURATION)
        headings = {name: readable(str(name)) for name in rows.columns}
        entries = [entry, "paper_results"] if any(is_papers) else [entry]
        told = f"{caption} {_experiment(group)}"
        shown.append(
            as_table(
                rows,
                headings,
                caption=told,
                entries=entries,
                texts=3,
                papers=is_papers,
                counts=headings if counts else (),
            )
        )
    return shown


def _recovery(table: pd.DataFrame) -> list[ShownTable]:
    return [
        as_table(
            rows.assign(
                set=rows["set"].map(readable),
                strategy=rows["strategy"].map(readable),
                level=rows["level"].map(percent),
            ),
            RECOVERY_COLUMNS,
            caption=f"Means over seeds. {_experiment(rows)}",
            entries=["recovery_by_contamination"],
            texts=2,
        )
        for _, rows in named_sets(table).groupby(CONFIGURATION, sort=True)
    ]


def _experiment(rows: pd.DataFrame) -> str:
    definition, detector, configuration = (str(rows[column].iloc[0]) for column in CONFIGURATION)
    return f"Detector {detector}, level as {definition}, configuration {configuration or 'not stated'}."


def _headline(cells: pd.DataFrame) -> list[str]:
    wide = cells.pivot_table(index="cell", columns="strategy", values="image_auroc") if len(cells) else cells
    if not {"vanilla", "iterative_refinement"} <= set(wide.columns):
        return []
    paired = wide[["vanilla", "iterative_refinement"]].dropna()
    if paired.empty:
        return []
    # No mean: the cells may be of several sets, levels and configurations.
    change = paired["iterative_refinement"] - paired["vanilla"]
    higher, lower = int((change > 0).sum()), int((change < 0).sum())
    told = f"Of {len(paired)} cells the refined detector has a higher AUROC in {higher}, a lower one in {lower}"
    reach = f"{change.min():+.3f} to {change.max():+.3f}" if len(paired) > 1 else f"{change.iloc[0]:+.3f}"
    return [f"{told}; the change is {reach}."]


def _link(name: str, rows: pd.DataFrame) -> dict[str, str]:
    refined = rows[rows["strategy"] == "iterative_refinement"]
    removed = f"{int(refined['n_removed'].iloc[0])} removed" if len(refined) else ""
    auroc = refined["image_auroc"].iloc[0] if len(refined) and "image_auroc" in refined else float("nan")
    note = ", ".join(part for part in (removed, "" if pd.isna(auroc) else f"AUROC {auroc:.3f}") if part)
    return {"name": name, "href": f"{name}/report.html", "note": note}
