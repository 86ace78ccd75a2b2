"""The figure by type of defect: how well each is found, and how much of it left the training set."""

from collections.abc import Mapping

import pandas as pd

from irp_kedro.reporting.charts import Chart, Panel, Series, readable, strategy_colour


def defect_types(tables: Mapping[str, pd.DataFrame]) -> Chart:
    """Return AUROC and the share of injected images removed, by type of defect and strategy."""
    known = {name: table for name, table in tables.items() if len(table)}
    panels = []
    for column, label in (
        ("image_auroc", "image AUROC"),
        ("removed_share", "share of injected images removed"),
    ):
        values = _by_type(known, column)
        series = [
            Series(
                name=readable(name),
                kind="bars",
                x=values.index.tolist(),
                y=values[name].tolist(),
                colour=strategy_colour(name, position),
            )
            for position, name in enumerate(known)
            if column != "removed_share" or name != "vanilla"
        ]
        panels.append(Panel(x_label="type of defect", y_label=label, series=tuple(series), y_range=(0, 1.03)))
    return Chart(
        title="By type of defect",
        alt=(
            "Bars, one group a type of defect: AUROC on the test split, and the share of injected images gone. "
            "A type without test images, or of which none was injected, is left out there."
        ),
        panels=tuple(panels) if known else (),
    )


def _by_type(tables: Mapping[str, pd.DataFrame], column: str) -> pd.DataFrame:
    """Return the values by type of defect, one column a strategy; no row where none is known."""
    found = {}
    for name, table in tables.items():
        rows = table.set_index("defect_type")
        share = rows["removed"] / rows["injected"].where(rows["injected"] > 0)
        found[name] = rows.assign(removed_share=share)[column].astype(float)
    return pd.DataFrame(found).dropna(how="all")
