"""What the detectors of one cell tell apart at every threshold: ROC curves, and false alarms at 95 % found."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from irp_kedro.core.detection_metrics import ENOUGH
from irp_kedro.reporting.charts import STRATEGY_SYMBOLS, Chart, Limit, Panel, Series, readable, strategy_colour

MOST_POINTS = 400  # of a curve; more are not told apart on a screen
ZOOMED = 0.9  # share of the defects found, from which the figure of FPR at 95 % TPR shows the curves
FOUND = Limit(value=ENOUGH, label=f"{ENOUGH:.0%} of the defects found".replace("%", " %"))


def roc_curves(curves: Mapping[str, pd.DataFrame]) -> Chart:
    """Return the ROC curve of each detector, and the line where 95 % of the defects are found.

    Args:
        curves: ``fpr`` and ``tpr`` by strategy, and of the oracle; empty where labels are unknown.
    """
    panel = Panel(
        x_label="share of good images flagged (FPR)",
        y_label="share of defects found (TPR)",
        series=tuple(_curves(curves)),
        limits=(FOUND,),
        x_range=(-0.02, 1.02),
        y_range=(0, 1.03),
    )
    return Chart(
        title="ROC curves on the frozen test split",
        alt="One curve a strategy; where it crosses the dashed line one reads the false alarms at 95 % found.",
        panels=(panel,),
    )


def fpr_at_95_tpr(curves: Mapping[str, pd.DataFrame], images: Mapping[str, Mapping[str, Any]]) -> Chart:
    """Return the upper end of the ROC curves with the point where 95 % are found, and its FPR with interval.

    Args:
        curves: ``fpr`` and ``tpr`` by strategy, and of the oracle; empty where labels are unknown.
        images: image metrics of the same, with ``fpr_at_95_tpr`` and its ``…_interval``.
    """
    known = {name: images[name] for name in curves if images.get(name, {}).get("fpr_at_95_tpr") is not None}
    crossings = [
        Series(
            name=readable(name),
            kind="points",
            x=[image["fpr_at_95_tpr"]],
            y=[_found_at(curves[name], image["fpr_at_95_tpr"])],
            colour=strategy_colour(name, position),
            symbol=STRATEGY_SYMBOLS.get(name, "cross"),
        )
        for position, (name, image) in enumerate(known.items())
        if len(curves[name])
    ]
    curved = Panel(
        title="the upper end of the ROC curves",
        x_label="share of good images flagged (FPR)",
        y_label="share of defects found (TPR)",
        series=(*_curves(curves), *crossings),
        limits=(FOUND,),
        x_range=(-0.02, 1.02),
        y_range=(ZOOMED, 1.005),
    )
    return Chart(
        title="FPR at 95 % TPR: good images flagged where 95 % of the defects are found",
        alt="Left the curves from 90 % found on, a mark where each first finds 95 %; right the share of good "
        "images flagged there, with its 95 % bootstrap interval. Lower is better.",
        panels=(curved, _values(known)) if known else (),
    )


def _values(known: Mapping[str, Mapping[str, Any]]) -> Panel:
    series = []
    for position, (name, image) in enumerate(known.items(), start=1):
        low, high = image.get("fpr_at_95_tpr_interval") or (None, None)
        series.append(
            Series(
                name=readable(name),
                kind="points",
                x=[float(position)],
                y=[image["fpr_at_95_tpr"]],
                low=[] if low is None else [low],
                high=[] if high is None else [high],
                colour=strategy_colour(name, position - 1),
                symbol=STRATEGY_SYMBOLS.get(name, "cross"),
            )
        )
    return Panel(
        title="where 95 % are found",
        x_label="",
        y_label="FPR, 95 % interval",
        series=tuple(series),
        x_names=tuple(item.name for item in series),
        x_range=(0.4, len(series) + 0.6),
        y_range=(-0.02, 1.02),
    )


def _curves(curves: Mapping[str, pd.DataFrame]) -> list[Series]:
    return [
        Series(
            name=readable(name),
            kind="line",
            x=curve["fpr"].tolist(),
            y=curve["tpr"].tolist(),
            colour=strategy_colour(name, position),
            symbol=None,
        )
        for position, (name, curve) in enumerate((name, _thinned(curve)) for name, curve in curves.items())
        if len(curve)
    ]


def _thinned(curve: pd.DataFrame) -> pd.DataFrame:
    """Return a curve of at most :data:`MOST_POINTS`, evenly along its length; ends and crossing stay."""
    if len(curve) <= MOST_POINTS:
        return curve
    length = (curve["fpr"] + curve["tpr"]).to_numpy(dtype=float)  # both only rise
    wanted = np.linspace(length[0], length[-1], MOST_POINTS - 1)
    kept = {*np.searchsorted(length, wanted).tolist(), int((curve["tpr"] >= ENOUGH).to_numpy().argmax())}
    return curve.iloc[sorted(kept)]


def _found_at(curve: pd.DataFrame, fpr: float) -> float:
    """Return the least share found, 95 % or more, where ``fpr`` of the good images are flagged."""
    at = curve[np.isclose(curve["fpr"], fpr) & (curve["tpr"] >= ENOUGH)]
    return float(at["tpr"].min()) if len(at) else ENOUGH
