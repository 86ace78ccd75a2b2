"""Charts and results that tests of several modules draw."""

import pytest

from irp_kedro.reporting.charts import Chart, Limit, Panel, Series

LINE = Series(name="a", kind="line", x=[1, 2], y=[3.0, 5.0], low=[2.0, 4.0], high=[3.5, 5.5], notes=["p", "q"])
BARS = Series(name="b", kind="bars", x=["dent", "spot"], y=[0.5, 0.25])
RANGES = Series(name="c", kind="ranges", x=[1.0], low=[0.0], high=[1.0])


@pytest.fixture
def chart() -> Chart:
    """One of every kind of series, on three panels."""
    points = Series(name="a", kind="points", x=[1.0], y=[2.0], symbol="triangle")
    return Chart(
        title="Every <kind>",
        alt="Lines, bars & ranges.",
        panels=(
            Panel(
                x_label="x",
                y_label="y",
                series=(LINE, RANGES),
                limits=(Limit(value=4.0, label="limit"),),
                y_log=True,
            ),
            Panel(title="bars", x_label="type", y_label="share", series=(BARS,), y_range=(0, 1)),
            Panel(
                x_label="",
                y_label="y",
                series=(points,),
                x_names=("only",),
                x_range=(0, 2),
                limits=(Limit(value=1.0, label="here", axis="x"),),
            ),
        ),
    )
