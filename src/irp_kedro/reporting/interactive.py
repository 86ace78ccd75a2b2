"""A chart on a page: plotly's JSON, drawn by the one copy of its script that the page carries."""

import json
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from irp_kedro.reporting.charts import GREY, Chart, Panel, Series

SYMBOLS = {
    "circle": "circle",
    "square": "square",
    "triangle": "triangle-up",
    "diamond": "diamond",
    "cross": "x",
}
SHORT = 3  # letters that never need a second line
PANEL_HEIGHT = 340  # pixels
NAMES_IN_A_ROW, NAME_HEIGHT = 3, 30  # of a legend, below each panel; pixels
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def as_plotly(chart: Chart) -> dict[str, Any]:
    """Return the chart as plotly's ``data`` and ``layout``, plain values."""
    figure = make_subplots(
        rows=chart.rows,
        cols=chart.shown_columns,
        subplot_titles=[panel.title for panel in chart.panels] or None,
        vertical_spacing=0.3 / chart.rows,
        horizontal_spacing=0.2 / chart.shown_columns,
    )
    named: set[str] = set()
    for number, panel in enumerate(chart.panels):
        row, column = number // chart.shown_columns + 1, number % chart.shown_columns + 1
        for series in panel.series:
            figure.add_trace(_trace(series, show=series.name not in named), row=row, col=column)
            named.add(series.name)
        _dress(figure, panel, row, column)
    # Names below an axis may be slanted; the legend stands below them.
    below = 140 if any(_has_names(panel) for panel in chart.panels) else 90
    below += NAME_HEIGHT * (max(1, -(-len(named) // (NAMES_IN_A_ROW * chart.shown_columns))) - 1)
    figure.update_layout(
        template="plotly_white",
        font={"family": FONT, "size": 13, "color": "#1a1a1a"},
        height=PANEL_HEIGHT * chart.rows + 40 + below,
        margin={"l": 60, "r": 20, "t": 40, "b": below},
        legend={"orientation": "h", "yref": "container", "yanchor": "bottom", "y": 0, "x": 0},
        barmode="group",
        hovermode="closest",
        meta={"columns": chart.shown_columns},  # of panels: the page gives each the width that its title needs
    )
    plain: dict[str, Any] = json.loads(figure.to_json())
    del plain["layout"]["template"]  # 7 kB of defaults that nothing here uses
    plain["layout"] |= {"paper_bgcolor": "white", "plot_bgcolor": "white"}
    return plain


def _trace(series: Series, *, show: bool) -> Any:  # noqa: ANN401 - a plotly trace
    shared: dict[str, Any] = {"name": series.name, "legendgroup": series.name, "showlegend": show}
    if series.kind == "ranges":
        return go.Scatter(
            x=[value for x in series.x for value in (x, x, None)],
            y=[value for low, high in zip(series.low, series.high, strict=True) for value in (low, high, None)],
            mode="lines",
            line={"color": series.colour, "width": series.width},
            **shared,
        )
    shared |= {"x": list(series.x), "y": list(series.y), "error_y": _around(series)}
    if series.notes:
        shared |= {
            "text": list(series.notes),
            "hovertemplate": "%{text}<br>%{y:.3f}<extra>%{fullData.name}</extra>",
        }
    if series.kind == "bars":
        return go.Bar(marker={"color": series.colour}, **shared)
    lines = "lines+markers" if series.symbol else "lines"
    return go.Scatter(
        mode=lines if series.kind == "line" else "markers",
        line={"color": series.colour, "width": 2, "dash": "dash" if series.dashed else "solid"},
        marker={"color": series.colour, "size": 7, "symbol": SYMBOLS[series.symbol or "circle"]},
        **shared,
    )


def _around(series: Series) -> dict[str, Any] | None:
    if not len(series.low) or series.kind == "ranges":
        return None
    return {
        "type": "data",
        "symmetric": False,
        "array": [high - y for y, high in zip(series.y, series.high, strict=True)],
        "arrayminus": [y - low for y, low in zip(series.y, series.low, strict=True)],
        "color": "#222222" if series.kind == "bars" else series.colour,
        "thickness": 1.3,
    }


def _dress(figure: go.Figure, panel: Panel, row: int, column: int) -> None:
    axis: dict[str, Any] = {"gridcolor": "#e3e3e3", "zeroline": False, "linecolor": "#888888", "showline": True}
    x_range = list(panel.x_range) if panel.x_range else None
    y_range = list(panel.y_range) if panel.y_range else None
    x_type = "category" if _has_bars(panel) else "linear"
    figure.update_xaxes(title_text=panel.x_label, range=x_range, type=x_type, row=row, col=column, **axis)
    y_type = "log" if panel.y_log else "linear"
    figure.update_yaxes(title_text=panel.y_label, range=y_range, type=y_type, row=row, col=column, **axis)
    if panel.y_log:
        figure.update_yaxes(dtick="D2", row=row, col=column)  # 1, 2, 5, 10, …
    if panel.x_names:
        ticks = {
            "tickvals": list(range(1, len(panel.x_names) + 1)),
            "ticktext": [name.replace(" ", "<br>") for name in panel.x_names],
        }
        figure.update_xaxes(row=row, col=column, **ticks)
    for limit in panel.limits:
        add = figure.add_hline if limit.axis == "y" else figure.add_vline
        add(
            limit.value,
            line={"color": GREY, "dash": "dash", "width": 1.5},
            annotation={"text": limit.label, "font": {"size": 11, "color": "#444444"}},
            annotation_position="top left",
            row=row,
            col=column,
        )


def _has_bars(panel: Panel) -> bool:
    return any(series.kind == "bars" for series in panel.series)


def _has_names(panel: Panel) -> bool:
    return any(len(name) > SHORT for name in panel.x_names) or _has_bars(panel)
