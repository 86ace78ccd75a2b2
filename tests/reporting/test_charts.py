import itertools

from irp_kedro.parameters import STRATEGIES
from irp_kedro.reporting.charts import (
    OTHERS,
    STRATEGY_COLOURS,
    STRATEGY_SYMBOLS,
    Chart,
    Panel,
    strategy_colour,
)


def test_strategies_differ_in_colour_and_in_symbol() -> None:
    names = (*STRATEGIES, "oracle")
    assert (
        len({STRATEGY_COLOURS[name] for name in names}) == len({STRATEGY_SYMBOLS[name] for name in names}) == 4
    )


def test_a_strategy_unknown_here_gets_a_colour_of_its_own() -> None:
    assert strategy_colour("soft_patch", 1) == OTHERS[1]
    assert not set(OTHERS) & set(STRATEGY_COLOURS.values())


def test_panels_fill_rows_from_the_left() -> None:
    panel = Panel(x_label="", y_label="", series=())
    sizes = {}
    for n_panels, columns in itertools.product((0, 1, 2, 3), (1, 2)):
        chart = Chart(title="", alt="", panels=(panel,) * n_panels, columns=columns)
        sizes[n_panels, columns] = (chart.rows, chart.shown_columns)
    assert sizes[0, 2] == sizes[1, 2] == (1, 1)
    assert (sizes[2, 2], sizes[3, 2], sizes[3, 1]) == ((1, 2), (2, 2), (3, 1))
