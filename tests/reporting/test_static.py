from xml.etree import ElementTree

import matplotlib as mpl
from PIL import Image

from irp_kedro.reporting.charts import Chart
from irp_kedro.reporting.static import PANEL_SIZE, as_png, as_svg, draw


def test_words_stay_words_in_svg(chart: Chart) -> None:
    root = ElementTree.fromstring(as_svg(chart))  # noqa: S314 - our own drawing
    words = {"".join(node.itertext()).strip() for node in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"Every <kind>", "limit", "here", "dent", "spot", "only", "share"} <= words


def test_a_png_is_as_large_as_asked(chart: Chart, tmp_path: object) -> None:
    import io

    with Image.open(io.BytesIO(as_png(chart, dots_per_inch=50))) as image:
        assert image.width == round(2 * PANEL_SIZE[0] * 50)


def test_drawing_changes_no_setting_of_matplotlib(chart: Chart) -> None:
    before = dict(mpl.rcParams)
    as_svg(chart)
    assert dict(mpl.rcParams) == before


def test_a_name_stands_once_in_the_legend(chart: Chart) -> None:
    (legend,) = draw(chart).legends
    assert [text.get_text() for text in legend.get_texts()] == ["a", "c", "b"]


def test_a_chart_without_panels_is_drawn_too() -> None:
    assert "nothing here" in as_svg(Chart(title="nothing here", alt=""))
