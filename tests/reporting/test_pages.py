import pandas as pd
import pytest
from jinja2 import UndefinedError

from irp_kedro.reporting.pages import Row, as_table, render


def test_a_table_shows_the_columns_asked_for_that_are_not_empty() -> None:
    frame = pd.DataFrame({"a": ["x"], "b": [0.5], "c": [float("nan")], "d": [1.0]})
    table = as_table(frame, {"a": "name", "c": "nothing", "b": "share"}, caption="")
    assert table.columns == ("name", "share")
    assert table.rows == (Row(cells=("x", "0.500")),)


def test_counts_have_no_decimals_and_their_means_one() -> None:
    frame = pd.DataFrame({"a": ["x", "y"], "pill good": [24.0, 7 / 3], "n_removed": [1e6, 2.0]})
    columns = {name: name for name in frame}
    table = as_table(frame, columns, caption="", counts=["pill good"])
    assert [row.cells for row in table.rows] == [("x", "24", "1000000"), ("y", "2.3", "2")]


def test_rows_of_the_paper_are_marked() -> None:
    table = as_table(pd.DataFrame({"a": ["x", "y"]}), {"a": "a"}, caption="", papers=[False, True])
    assert [row.is_papers for row in table.rows] == [False, True]


def test_a_page_that_lacks_a_value_is_an_error_not_a_hole() -> None:
    with pytest.raises(UndefinedError):
        render("overview.html.j2", {"title": "nothing else"})
