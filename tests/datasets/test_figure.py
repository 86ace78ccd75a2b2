import json
from pathlib import Path

import pytest
from kedro.io import DatasetError

from irp_kedro.datasets.figure import FigureDataset
from irp_kedro.reporting.charts import Chart, Panel, Series

CHART = Chart(
    title="Two points",
    alt="Two points on a line.",
    panels=(Panel(x_label="x", y_label="y", series=(Series(name="a", kind="line", x=[1, 2], y=[3.0, 4.0]),)),),
)


@pytest.fixture
def dataset(tmp_path: Path) -> FigureDataset:
    return FigureDataset(filepath=(tmp_path / "two_points").as_posix())


def test_a_chart_is_drawn_as_svg_png_and_json(dataset: FigureDataset, tmp_path: Path) -> None:
    dataset.save(CHART)
    names = {path.name for path in (tmp_path / "two_points").iterdir()}
    assert names == {"two_points.svg", "two_points.png", "two_points.json"}
    found = dataset.load()
    assert (found.name, found.title, found.alt) == ("two_points", CHART.title, CHART.alt)
    assert found.plotly["data"][0]["y"] == [3.0, 4.0]
    assert found.svg.startswith("<?xml")


def test_kedro_viz_gets_the_picture(dataset: FigureDataset) -> None:
    dataset.save(CHART)
    assert dataset.preview().startswith("iVBORw0KGgo")  # a PNG, base64


def test_the_same_chart_gives_the_same_files(dataset: FigureDataset, tmp_path: Path) -> None:
    dataset.save(CHART)
    before = {path.name: path.read_bytes() for path in (tmp_path / "two_points").iterdir()}
    dataset.save(CHART)
    assert {path.name: path.read_bytes() for path in (tmp_path / "two_points").iterdir()} == before
    json.loads(before["two_points.json"])


def test_a_figure_that_was_never_drawn_says_what_to_run(dataset: FigureDataset) -> None:
    assert not dataset.exists()
    with pytest.raises(DatasetError, match="kedro run --pipelines reporting"):
        dataset.load()
