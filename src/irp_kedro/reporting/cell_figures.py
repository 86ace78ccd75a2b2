"""The figures of one cell: what the loop did, and what it did to the detector."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from irp_kedro.core.manifest import ANOMALOUS, NORMAL, labels_known
from irp_kedro.core.refinement import RefinementCycle
from irp_kedro.reporting.charts import (
    BLUE,
    SKY,
    STRATEGY_SYMBOLS,
    VERMILION,
    Chart,
    Limit,
    Panel,
    Series,
    Symbol,
    readable,
    strategy_colour,
)

MOST_NAMED = 15  # cycles
FAR = 5  # thresholds, from which a scale is logarithmic
SHOWN_BELOW = 0.97  # quantile of the test scores beyond which all are counted as one
SHOWN_ABOVE = 0.95  # quantile of a cycle's scores above which images are drawn one by one
MOST_SHOWN, MOST_OF_ALL = 60, 1500  # of them: in a cycle, and in all cycles together
KINDS: dict[str, tuple[str, str, Symbol]] = {
    NORMAL: ("good image", BLUE, "circle"),
    ANOMALOUS: ("defect", VERMILION, "triangle"),
    "unknown": ("image", BLUE, "circle"),
}


def training_curves(cycles: Mapping[str, Sequence[RefinementCycle]]) -> Chart:
    """Return the mean loss of every epoch of each strategy's detector.

    With images in doubt epochs are shorter, and there are more of them (decision 0043): each stands where as
    many images have passed as in so many epochs over the whole set.

    Args:
        cycles: of each strategy, in order.
    """
    series = []
    for position, (name, records) in enumerate(cycles.items()):
        losses = [loss for record in records for loss in record.losses]
        series.append(
            Series(
                name=readable(name),
                kind="line",
                x=_epochs_spent(records),
                y=losses,
                colour=strategy_colour(name, position),
                symbol=STRATEGY_SYMBOLS.get(name, "cross") if len(losses) <= 40 else None,
            )
        )
    return Chart(
        title="Training loss by epoch",
        alt="Lines: the mean training loss of each epoch, one line a strategy.",
        panels=(Panel(x_label="epochs over the whole set", y_label="mean loss", series=tuple(series)),),
    )


def _epochs_spent(cycles: Sequence[RefinementCycle]) -> list[float]:
    """Return after how many epochs over the whole set each loss was measured."""
    before = [0, *(cycle.epochs for cycle in cycles[:-1])]
    return [
        spent + (cycle.epochs - spent) * number / len(cycle.losses)
        for spent, cycle in zip(before, cycles, strict=True)
        for number in range(1, len(cycle.losses) + 1)
    ]


def scores_by_cycle(cycles: Sequence[RefinementCycle], labels: Mapping[str, str], name: str) -> Chart:
    """Return the scores that the judge gave in each cycle, with the threshold they were held against.

    The bulk is drawn as ranges, the highest scores image by image.

    Args:
        cycles: of one strategy, in order.
        labels: label of each image by id; all unknown where the set has none.
        name: of the strategy.
    """
    judged = [record for record in cycles if record.judged and record.threshold is not None]
    at = [float(record.cycle) for record in judged]
    scores = [np.array(list(record.judged.values())) for record in judged]
    edges = [np.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95]) for values in scores]
    thresholds = [float(record.threshold or 0.0) for record in judged]
    # Cycles are judged from 1 on; a few have a name each, many are numbered by the axis.
    is_short = at == list(range(1, len(at) + 1)) and len(at) <= MOST_NAMED
    # One far image would press all others onto the axis.
    is_far = bool(scores) and all(
        values.min() > 0 and values.max() > FAR * threshold
        for values, threshold in zip(scores[-1:], thresholds[-1:], strict=True)
    )
    series = [
        _range("5th to 95th percentile", at, edges, ends=(0, 4), colour=SKY, width=14),
        _range("middle half", at, edges, ends=(1, 3), colour=BLUE, width=7),
        *_highest(judged, labels),
        Series(
            name="threshold", kind="line", x=at, y=thresholds, colour="#000000", dashed=True, symbol="cross"
        ),
    ]
    return Chart(
        title=f"Scores of the training images by cycle, {readable(name)}",
        alt=(
            "One column a cycle: ranges of the judge's scores, the highest scores as points, and the threshold "
            "as a dashed line. Images above the threshold may leave."
        ),
        panels=(
            Panel(
                x_label="cycle",
                y_label="anomaly score by the judge",
                series=tuple(series),
                x_range=(min(at, default=0) - 0.6, max(at, default=0) + 0.6),
                x_names=tuple(f"{cycle:g}" for cycle in at) if is_short else (),
                y_log=is_far,
            ),
        ),
    )


def test_score_distribution(tested: Mapping[str, pd.DataFrame]) -> Chart:
    """Return the distribution of test scores of each strategy, with the threshold stored with the model.

    Args:
        tested: ``score``, ``threshold`` and ``label`` of each test image, by strategy.
    """
    panels = tuple(_histogram(name, table) for name, table in tested.items() if len(table))
    return Chart(
        title="Scores of the test images, and the threshold stored with each model",
        alt="One panel a strategy: how many test images have which score, good ones and defects apart. "
        "The last mark counts all that lie beyond it, too.",
        panels=panels,
        columns=3,
    )


def strategies_compared(summary: pd.DataFrame) -> Chart:
    """Return image AUROC of each strategy and the oracle, with 95 % bootstrap intervals."""
    known = summary[summary["image_auroc"].notna()] if "image_auroc" in summary else summary.iloc[:0]
    series = [
        Series(
            name=readable(row["strategy"]),
            kind="points",
            x=[float(position)],
            y=[row["image_auroc"]],
            low=[row["image_auroc_low"]] if pd.notna(row["image_auroc_low"]) else [],
            high=[row["image_auroc_high"]] if pd.notna(row["image_auroc_high"]) else [],
            colour=strategy_colour(row["strategy"], position),
            symbol=STRATEGY_SYMBOLS.get(row["strategy"], "cross"),
        )
        for position, (_, row) in enumerate(known.iterrows(), start=1)
    ]
    panel = Panel(
        x_label="",
        y_label="image AUROC, 95 % interval",
        x_names=tuple(item.name for item in series),
        series=tuple(series),
        x_range=(0.4, len(series) + 0.6),
    )
    return Chart(
        title="Image AUROC by strategy",
        alt="A point with its 95 % bootstrap interval for each strategy and for the oracle.",
        panels=(panel,),
    )


def _range(
    name: str, at: list[float], edges: Sequence[np.ndarray], *, ends: tuple[int, int], colour: str, width: float
) -> Series:
    low, high = ([float(edge[end]) for edge in edges] for end in ends)
    return Series(name=name, kind="ranges", x=at, low=low, high=high, colour=colour, width=width)


def _highest(cycles: Sequence[RefinementCycle], labels: Mapping[str, str]) -> list[Series]:
    points: dict[str, list[tuple[float, float, str]]] = {}
    most = min(MOST_SHOWN, max(1, MOST_OF_ALL // max(1, len(cycles))))
    for record in cycles:
        ranked = sorted(record.judged.items(), key=lambda item: -item[1])
        limit = float(np.quantile([score for _, score in ranked], SHOWN_ABOVE))
        for image_id, score in [item for item in ranked if item[1] > limit][:most]:
            kind = labels.get(image_id, "unknown")
            # Beside the column of ranges; kinds apart, so that neither covers the other.
            beside = {NORMAL: 0.22, ANOMALOUS: 0.32}.get(kind, 0.22)
            points.setdefault(kind, []).append((record.cycle + beside, score, image_id))
    return [
        Series(
            name=KINDS[kind][0],
            kind="points",
            x=[x for x, _, _ in points[kind]],
            y=[y for _, y, _ in points[kind]],
            notes=[note for _, _, note in points[kind]],
            colour=KINDS[kind][1],
            symbol=KINDS[kind][2],
        )
        for kind in KINDS
        if kind in points
    ]


def _histogram(name: str, table: pd.DataFrame) -> Panel:
    threshold = float(table["threshold"].iloc[0])
    scores = table["score"].to_numpy(dtype=float)
    # A few far ones would leave one bar for all others.
    end = float(np.quantile(scores, SHOWN_BELOW))
    if threshold > 0:
        end = float(np.clip(end, 1.2 * threshold, 3 * threshold))
    scores = np.minimum(scores, end)
    edges = np.histogram_bin_edges(scores, bins=24)
    middle = ((edges[1:] + edges[:-1]) / 2).tolist()
    known = labels_known(table)
    series = []
    for kind in (NORMAL, ANOMALOUS) if known else ("unknown",):
        counts, _ = np.histogram(scores[table["label"] == kind], edges)
        series.append(
            Series(
                name=KINDS[kind][0],
                kind="line",
                x=middle,
                y=counts.tolist(),
                colour=KINDS[kind][1],
                symbol=KINDS[kind][2],
                dashed=kind == ANOMALOUS,
            )
        )
    limit = Limit(value=threshold, label="threshold", axis="x")
    return Panel(
        title=readable(name),
        x_label="anomaly score",
        y_label="test images",
        series=tuple(series),
        limits=(limit,),
    )
