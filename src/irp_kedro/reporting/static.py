"""A chart on paper: SVG and PNG by matplotlib, without its global state."""

import io
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from irp_kedro.reporting.charts import GREY, Chart, Limit, Panel, Series

MARKERS = {"circle": "o", "square": "s", "triangle": "^", "diamond": "D", "cross": "x"}
PANEL_SIZE = (5.6, 3.4)  # inches
MOST_LETTERS = 36  # below an axis, in a row
STYLE: Any = {  # keys are matplotlib's own
    "svg.fonttype": "none",  # text stays text: it can be read out, searched and copied
    "svg.hashsalt": "irp-kedro",  # the same chart gives the same bytes
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
}


def as_svg(chart: Chart) -> str:
    """Return the chart as SVG, text as text."""
    content = io.StringIO()
    with mpl.rc_context(STYLE):
        draw(chart).savefig(content, format="svg", metadata={"Date": None})
    return content.getvalue()


def as_png(chart: Chart, *, dots_per_inch: int = 150) -> bytes:
    """Return the chart as PNG."""
    content = io.BytesIO()
    with mpl.rc_context(STYLE):
        draw(chart).savefig(content, format="png", dpi=dots_per_inch)
    return content.getvalue()


def draw(chart: Chart) -> Figure:
    """Return the chart as a matplotlib figure that no window manager knows."""
    size = (PANEL_SIZE[0] * chart.shown_columns, PANEL_SIZE[1] * chart.rows + 0.6)
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(chart.title, fontsize=12)
    for number, panel in enumerate(chart.panels, start=1):
        _draw_panel(figure.add_subplot(chart.rows, chart.shown_columns, number), panel)
    entries: dict[str, Any] = {}
    for axes in figure.axes:
        handles, names = axes.get_legend_handles_labels()
        entries |= {name: handle for handle, name in zip(handles, names, strict=True) if name not in entries}
    if len(entries) > 1:
        figure.legend(
            entries.values(),
            entries.keys(),
            loc="outside lower center",
            ncols=2 * chart.shown_columns,
            frameon=False,
        )
    return figure


def _draw_panel(axes: Axes, panel: Panel) -> None:
    bars = [series for series in panel.series if series.kind == "bars"]
    for series in panel.series:
        if series.kind == "bars":
            _draw_bars(axes, series, bars.index(series), len(bars))
        else:
            _draw_marks(axes, series)
    for limit in panel.limits:
        line = axes.axhline if limit.axis == "y" else axes.axvline
        line(limit.value, color=GREY, linestyle="--", linewidth=1.2)
        _name_limit(axes, limit)
    if panel.x_names:
        axes.set_xticks(range(1, len(panel.x_names) + 1), [name.replace(" ", "\n") for name in panel.x_names])
    axes.set(xlabel=panel.x_label, ylabel=panel.y_label)
    if panel.title:
        axes.set_title(panel.title, fontsize=10)
    if panel.y_log:
        axes.set_yscale("log")
    if panel.y_range:
        axes.set_ylim(*panel.y_range)
    if panel.x_range:
        axes.set_xlim(*panel.x_range)


def _name_limit(axes: Axes, limit: Limit) -> None:
    if limit.axis == "y":
        place: dict[str, Any] = {"x": 0.01, "y": limit.value, "ha": "left", "va": "bottom"}
        place |= {"transform": axes.get_yaxis_transform()}
    else:
        place = {"x": limit.value, "y": 0.98, "ha": "right", "va": "top", "rotation": 90}
        place |= {"transform": axes.get_xaxis_transform()}
    axes.text(s=limit.label, fontsize=8, color="#444444", **place)


def _draw_bars(axes: Axes, series: Series, number: int, of: int) -> None:
    width = 0.8 / of
    at = [position + (number - (of - 1) / 2) * width for position in range(len(series.x))]
    axes.bar(at, list(series.y), width=width * 0.92, color=series.colour, label=series.name)
    if len(series.low):
        axes.errorbar(at, list(series.y), yerr=_around(series), fmt="none", ecolor="#222222", capsize=3)
    names = [str(name) for name in series.x]
    # Browsers draw the words in their own font, wider than the one that is measured here.
    slanted: dict[str, Any] = {"rotation": 30, "ha": "right"} if sum(map(len, names)) > MOST_LETTERS else {}
    axes.set_xticks(range(len(names)), names, **slanted)
    axes.grid(visible=False, axis="x")


def _draw_marks(axes: Axes, series: Series) -> None:
    if series.kind == "ranges":
        axes.vlines(
            list(series.x),
            list(series.low),
            list(series.high),
            colors=series.colour,
            linewidth=series.width,
            label=series.name,
        )
        return
    marker = MARKERS[series.symbol] if series.symbol else None
    style = ("--" if series.dashed else "-") if series.kind == "line" else "none"
    axes.plot(
        list(series.x),
        list(series.y),
        linestyle=style,
        marker=marker,
        markersize=5,
        color=series.colour,
        label=series.name,
    )
    if len(series.low):
        axes.errorbar(
            list(series.x), list(series.y), yerr=_around(series), fmt="none", ecolor=series.colour, capsize=3
        )


def _around(series: Series) -> list[list[float]]:
    """Return the distances from each y down to its low and up to its high, as matplotlib wants them."""
    below = [max(0.0, y - low) for y, low in zip(series.y, series.low, strict=True)]
    above = [max(0.0, high - y) for y, high in zip(series.y, series.high, strict=True)]
    return [below, above]
