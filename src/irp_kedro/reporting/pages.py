"""Pages that need no other file and no network: templates, style, script, and tables ready to be shown."""

import base64
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from irp_kedro.reporting.charts import counted

TEMPLATES = files("irp_kedro.reporting") / "templates"
NOTHING = "-"
COUNTS = {"n_removed", "bad_removed", "good_removed", "test_images", "injected", "removed", "cells", "images"}


@dataclass(frozen=True, kw_only=True)
class Row:
    """Cells of a table, written out; the first is the row's name."""

    cells: tuple[str, ...]
    is_papers: bool = False


@dataclass(frozen=True, kw_only=True)
class ShownTable:
    """A table as a page shows it.

    Attributes:
        caption: what it is.
        columns: headings.
        rows: written out.
        entries: of the catalog, where its numbers stand.
        texts: how many columns, from the left, are text.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    entries: tuple[str, ...] = ()
    texts: int = 1


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One number of the headline."""

    name: str
    value: str
    note: str = ""


def render(template: str, page: Mapping[str, Any]) -> str:
    """Return a page of HTML with everything it needs inside.

    Args:
        template: file name in ``templates``.
        page: what the template shows.
    """
    return (
        _environment()
        .get_template(template)
        .render(
            page=page,
            style=Markup((TEMPLATES / "style.css").read_text(encoding="utf-8")),  # noqa: S704 - our own file
            review_script=Markup((TEMPLATES / "review.js").read_text(encoding="utf-8")),  # noqa: S704
            plotly_script=Markup(get_plotlyjs()),  # noqa: S704 - plotly's own
        )
    )


def number(value: float | None, digits: int = 3) -> str:
    """Return a number as a table shows it.

    >>> number(0.5), number(float("nan")), number(None)
    ('0.500', '-', '-')
    """
    return NOTHING if value is None or pd.isna(value) else f"{value:.{digits}f}"


def written(value: Any, *, is_count: bool = False) -> str:  # noqa: ANN401 - a cell of a table
    """Return a cell of a table in words: counts without decimals, nothing as a dash.

    >>> written(4.0, is_count=True), written(4), written(0.25), written("dent"), written(float("nan"))
    ('4', '4', '0.250', 'dent', '-')
    """
    if isinstance(value, str):
        return value or NOTHING
    if value is None or pd.isna(value):
        return NOTHING
    if isinstance(value, int) or is_count:
        return counted(value)
    return number(float(value))


def as_table(
    frame: pd.DataFrame,
    columns: Mapping[str, str],
    *,
    caption: str,
    entries: Sequence[str] = (),
    texts: int = 1,
    papers: Sequence[bool] = (),
    counts: Collection[str] = (),
) -> ShownTable:
    """Return the columns of a frame that are named and not empty.

    Args:
        frame: the numbers.
        columns: of the frame -> heading.
        caption: what it is.
        entries: of the catalog, where its numbers stand.
        texts: how many columns, from the left, are text.
        papers: which rows are the paper's.
        counts: which columns count things, or are means of counts, besides those always known as such.
    """
    shown = [name for name in columns if name in frame and (frame.empty or frame[name].notna().any())]
    marks = list(papers) or [False] * len(frame)
    whole = COUNTS.union(counts)
    rows = tuple(
        Row(
            cells=tuple(written(row[name], is_count=name in whole) for name in shown), is_papers=bool(is_papers)
        )
        for row, is_papers in zip(frame.to_dict("records"), marks, strict=True)
    )
    headings = tuple(columns[name] for name in shown)
    return ShownTable(caption=caption, columns=headings, rows=rows, entries=tuple(entries), texts=texts)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("irp_kedro.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["base64"] = lambda text: base64.b64encode(text.encode()).decode("ascii")
    # "<" would end a script element.
    environment.filters["json"] = lambda value: Markup(json.dumps(value).replace("<", "\\u003c"))  # noqa: S704
    environment.filters["number"] = number
    environment.filters["clip"] = lambda share: f"{min(100.0, max(0.0, share)):.1f}"
    return environment
