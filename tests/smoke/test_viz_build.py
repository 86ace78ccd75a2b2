"""The static site of kedro-viz: built as the README says, with what each entry holds beside the graph."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

PROJECT = Path(__file__).parents[2]
MAIN = "iterative_refinement"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def previews(run_project: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Kind and content of every entry's preview in the site of a small cell, built in a copy of the project."""
    project, data_root = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("data")
    run_project(data_root, **{"refinement.mad_factor": 2.0, "reporting.near_images": 4})
    for part in ("src", "conf/base"):
        shutil.copytree(PROJECT / part, project / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "pyproject.toml", project)
    (parameters,) = data_root.glob("08_reporting/*/parameters.json")
    (project / "conf" / "local").mkdir()
    asked = yaml.safe_dump(json.loads(parameters.read_text(encoding="utf-8")))
    (project / "conf" / "local" / "parameters.yml").write_text(asked, encoding="utf-8")
    told = {**os.environ, "PYTHONPATH": str(project / "src"), "DO_NOT_TRACK": "1"}
    command = [sys.executable, "-m", "kedro", "viz", "build", "--include-previews"]
    built = subprocess.run(command, cwd=project, env=told, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    site = project / "build"
    assert (site / "index.html").is_file()
    nodes = json.loads((site / "api" / "main").read_text(encoding="utf-8"))["nodes"]
    shown = {
        node["name"]: json.loads((site / "api" / "nodes" / node["id"]).read_text(encoding="utf-8"))
        for node in nodes
        if node["type"] == "data"
    }
    return {name: (entry.get("preview_type"), entry.get("preview")) for name, entry in shown.items()}


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("manifest", "digest"),
        ("training_manifest", "label"),
        (f"{MAIN}.removal_log", "action"),
        (f"{MAIN}.removal_audit", "defect_type"),
        ("oracle.roc_curve", "tpr"),
        ("summary_table", "fpr_at_95_tpr_low"),
    ],
)
def test_tables_show_their_first_rows(previews: dict[str, Any], name: str, column: str) -> None:
    kind, content = previews[name]
    assert kind == "TablePreview"
    assert column in content["columns"]
    assert content["data"]


@pytest.mark.parametrize("name", [f"{MAIN}.metrics", "oracle.metrics", "cell_parameters"])
def test_metrics_and_parameters_show_their_values(previews: dict[str, Any], name: str) -> None:
    kind, content = previews[name]
    assert kind == "JSONPreview"
    assert json.loads(content)


@pytest.mark.parametrize(
    "name", ["roc_curves", "fpr_at_95_tpr", "gallery", f"{MAIN}.judge_maps", f"{MAIN}.anomaly_maps"]
)
def test_figures_gallery_and_maps_show_a_picture(previews: dict[str, Any], name: str) -> None:
    kind, content = previews[name]
    assert kind == "ImagePreview"
    assert content.startswith("iVBORw0KGgo")  # PNG
