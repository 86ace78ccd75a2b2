"""The notebook from top to bottom, on a set that takes seconds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

PROJECT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_first_steps_run_from_top_to_bottom(
    tiny: dict[str, Any], make_dvc_repository: Callable[[Path], None], tmp_path: Path
) -> None:
    nbclient = pytest.importorskip("nbclient", reason="the extra notebook is not installed")
    nbformat = pytest.importorskip("nbformat", reason="the extra notebook is not installed")
    make_dvc_repository(tmp_path)
    asked = {**tiny, "data_root": tmp_path, "lineage.root": tmp_path / "lineage", "refinement.mad_factor": 2.0}
    params = OmegaConf.to_container(OmegaConf.from_dotlist([f"{key}={value}" for key, value in asked.items()]))
    notebook = nbformat.read(PROJECT / "notebooks" / "first_steps.ipynb", as_version=4)
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", []):
            cell.source = f"params = {params!r}"
    nbclient.NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": PROJECT / "notebooks"}}
    ).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [output for output in shown if output["output_type"] == "error"]
    assert sum("image/png" in output.get("data", {}) for output in shown) == 3
    assert "each with its MD5" in shown[-1]["data"]["text/plain"]
    assert (tmp_path / "08_reporting").is_dir()
