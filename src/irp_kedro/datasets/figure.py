"""``FigureDataset``: a chart as SVG and PNG for papers, and as plotly's JSON for pages."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError
from kedro_datasets._typing import ImagePreview

from irp_kedro.reporting.charts import Chart
from irp_kedro.writing import folder_aside


@dataclass(frozen=True, kw_only=True)
class SavedFigure:
    """A figure as it was saved.

    Attributes:
        name: of its catalog entry and files.
        title: short.
        alt: what it shows, for those who do not see it.
        svg: drawn.
        plotly: ``data`` and ``layout``.
    """

    name: str
    title: str
    alt: str
    svg: str
    plotly: dict[str, Any]


class FigureDataset(AbstractDataset[Chart, SavedFigure]):
    """Draw a chart into a folder: ``NAME.svg``, ``NAME.png`` and ``NAME.json``.

    Kedro's own ``MatplotlibDataset`` cannot be read back; a report that reads its figures from here shows
    nothing that is not in the catalog.

    Args:
        filepath: the folder; its name is that of the files.

    Example of use in the catalog::

        training_curves:
          type: irp_kedro.datasets.figure.FigureDataset
          filepath: data/08_reporting/cell/figures/training_curves
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def save(self, data: Chart) -> None:
        """Draw the chart and write it in all three forms."""
        from irp_kedro.reporting.interactive import as_plotly
        from irp_kedro.reporting.static import as_png, as_svg

        name = self._filepath.name
        content = {"title": data.title, "alt": data.alt, **as_plotly(data)}
        with folder_aside(self._filepath) as folder:
            (folder / f"{name}.svg").write_text(as_svg(data), encoding="utf-8")
            (folder / f"{name}.png").write_bytes(as_png(data))
            (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")

    def load(self) -> SavedFigure:
        """Return the figure as it was drawn."""
        if not self._exists():
            raise DatasetError(f"No figure at '{self._filepath}'. Run: kedro run --pipelines reporting")
        name = self._filepath.name
        content = json.loads((self._filepath / f"{name}.json").read_text(encoding="utf-8"))
        return SavedFigure(
            name=name,
            title=content.pop("title"),
            alt=content.pop("alt"),
            svg=(self._filepath / f"{name}.svg").read_text(encoding="utf-8"),
            plotly=content,
        )

    def preview(self) -> ImagePreview:
        """Return the PNG for kedro-viz."""
        content = (self._filepath / f"{self._filepath.name}.png").read_bytes()
        return ImagePreview(base64.b64encode(content).decode("ascii"))

    def _exists(self) -> bool:
        return (self._filepath / f"{self._filepath.name}.json").is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath.as_posix()}
