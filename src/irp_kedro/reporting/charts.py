"""What a figure shows, before anything is drawn: one description for paper (SVG, PNG) and page (plotly).

Colours are those of Okabe and Ito, told apart by readers with any colour vision; symbols and dashes say the
same in grey.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
YELLOW, BLUE, VERMILION, PURPLE, GREY = "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#767676"

# As in the paper's figures where it has them: the process blue, one-shot removal green, vanilla yellow.
STRATEGY_COLOURS = {
    "vanilla": ORANGE,
    "one_shot_removal": GREEN,
    "iterative_refinement": BLUE,
    "oracle": BLACK,
}
STRATEGY_SYMBOLS: dict[str, "Symbol"] = {
    "vanilla": "square",
    "one_shot_removal": "triangle",
    "iterative_refinement": "circle",
    "oracle": "diamond",
}
OTHERS = (PURPLE, VERMILION, SKY, YELLOW)

Symbol = Literal["circle", "square", "triangle", "diamond", "cross"]
Value = float | str


@dataclass(frozen=True, kw_only=True)
class Series:
    """One set of marks.

    Attributes:
        name: in the legend; series of one name share an entry.
        kind: ``line``, ``points``, ``bars`` (upright), or ``ranges`` (strokes from ``low`` up to ``high``).
        x: positions, or names of categories.
        y: heights; of ranges, nothing.
        low: lower end of an interval around each y, or of each range.
        high: upper end.
        colour: hexadecimal.
        symbol: of points, and of a line's points.
        dashed: whether a line is.
        width: of a range's stroke, points.
        notes: what pointing at each mark shows, besides its position.
    """

    name: str
    kind: Literal["line", "points", "bars", "ranges"]
    x: Sequence[Value]
    y: Sequence[float] = ()
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    colour: str = BLUE
    symbol: Symbol | None = "circle"
    dashed: bool = False
    width: float = 6.0
    notes: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Limit:
    """A straight line across a panel.

    Attributes:
        value: where it stands.
        label: what it is.
        axis: ``y`` lies flat at a height, ``x`` stands upright.
    """

    value: float
    label: str
    axis: Literal["x", "y"] = "y"


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One pair of axes; ``x_names``, if any, stand at 1, 2, … in place of numbers."""

    x_label: str
    y_label: str
    series: tuple[Series, ...]
    title: str = ""
    limits: tuple[Limit, ...] = ()
    x_names: tuple[str, ...] = ()
    y_range: tuple[float, float] | None = None
    y_log: bool = False
    x_range: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A figure.

    Attributes:
        title: short.
        alt: what it shows, for those who do not see it; the figures' own numbers are in the tables.
        panels: side by side, ``columns`` in a row.
        columns: of panels.
    """

    title: str
    alt: str
    panels: tuple[Panel, ...] = field(default=())
    columns: int = 2

    @property
    def rows(self) -> int:
        """Number of rows of panels, at least 1."""
        return max(1, -(-len(self.panels) // self.shown_columns))

    @property
    def shown_columns(self) -> int:
        """Number of panels in a row, at least 1."""
        return max(1, min(self.columns, len(self.panels)))


def strategy_colour(name: str, position: int = 0) -> str:
    """Return the colour of a strategy; one unknown here gets its own by position."""
    return STRATEGY_COLOURS.get(name, OTHERS[position % len(OTHERS)])


def readable(name: str) -> str:
    """Return a name as a reader would write it.

    >>> readable("iterative_refinement")
    'iterative refinement'
    """
    return name.replace("_", " ")


def counted(value: float) -> str:
    """Return a count, or a mean of counts to one decimal.

    >>> counted(24.0), counted(7 / 3), counted(1_234_567)
    ('24', '2.3', '1234567')
    """
    return f"{value:.1f}".removesuffix(".0")
