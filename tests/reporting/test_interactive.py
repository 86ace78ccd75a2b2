import json

from irp_kedro.reporting.charts import Chart, Panel, Series
from irp_kedro.reporting.interactive import as_plotly


def test_every_series_is_a_trace_on_its_panel(chart: Chart) -> None:
    data = as_plotly(chart)["data"]
    assert [(trace["name"], trace["type"], trace["xaxis"]) for trace in data] == [
        ("a", "scatter", "x"),
        ("c", "scatter", "x"),
        ("b", "bar", "x2"),
        ("a", "scatter", "x3"),
    ]
    assert [trace["showlegend"] for trace in data] == [True, True, True, False]


def test_intervals_and_notes_go_along(chart: Chart) -> None:
    line = as_plotly(chart)["data"][0]
    assert (line["error_y"]["arrayminus"], line["error_y"]["array"]) == ([1.0, 1.0], [0.5, 0.5])
    assert line["text"] == ["p", "q"]


def test_limits_are_drawn_with_their_names(chart: Chart) -> None:
    layout = as_plotly(chart)["layout"]
    assert len(layout["shapes"]) == 2
    assert {"limit", "here", "bars"} <= {note["text"] for note in layout["annotations"]}
    assert layout["xaxis3"]["ticktext"] == ["only"]


def test_the_page_is_told_how_many_panels_stand_side_by_side(chart: Chart) -> None:
    assert as_plotly(chart)["layout"]["meta"] == {"columns": chart.shown_columns}


def test_a_legend_of_two_rows_covers_no_axis() -> None:
    def height_of(n_names: int) -> tuple[int, int]:
        series = tuple(Series(name=str(number), kind="line", x=[0], y=[0.0]) for number in range(n_names))
        layout = as_plotly(Chart(title="", alt="", panels=(Panel(x_label="x", y_label="y", series=series),)))[
            "layout"
        ]
        return layout["height"], layout["margin"]["b"]

    (height, below), (higher, lower) = height_of(3), height_of(4)
    assert (higher - height, lower - below) == (30, 30)


def test_what_comes_out_is_plain_json_and_the_same_every_time(chart: Chart) -> None:
    once = json.dumps(as_plotly(chart))
    assert json.dumps(as_plotly(chart)) == once
    assert "bdata" not in once  # arrays as numbers, not as plotly's base64


def test_a_chart_without_panels_is_drawn_too() -> None:
    assert as_plotly(Chart(title="", alt=""))["data"] == []
