"""`kedro irp score` in a process of its own, after a run."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from kedro.framework.startup import bootstrap_project
from PIL import Image

from irp_kedro.cli import cli

PROJECT = Path(__file__).parents[2]
PIPELINES = ("ingestion", "contamination", "features", "refinement", "evaluation")


@pytest.fixture(scope="module")
def root(run_project: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    run_project(folder, *PIPELINES)
    return folder


def model_of(root: Path) -> Path:
    (path,) = root.glob("06_models/*/iterative_refinement/model.safetensors")
    return path


def lay_out_test_images(root: Path, to: Path) -> pd.DataFrame:
    """Lay the test images alone into a folder; return their scores in the pipeline."""
    (path,) = root.glob("07_model_output/*/iterative_refinement/test_scores.csv")
    scores = pd.read_csv(path)
    to.mkdir()
    for row in scores.itertuples():
        (to / f"{row.image_id}.png").write_bytes(Path(str(row.path)).read_bytes())
    return scores.set_index("image_id")


def irp(command: str, *options: object) -> subprocess.CompletedProcess[str]:
    asked = [sys.executable, "-m", "kedro", "irp", command, *map(str, options)]
    return subprocess.run(asked, cwd=PROJECT, capture_output=True, text=True, check=False)


def test_a_fresh_process_gives_the_scores_and_verdicts_of_the_evaluation(root: Path, tmp_path: Path) -> None:
    expected = lay_out_test_images(root, tmp_path / "new")
    (tmp_path / "new" / "broken.png").write_text("")
    done = irp("score", model_of(root), tmp_path / "new", "--out", tmp_path / "out", "--maps")
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(tmp_path / "out" / "scores.csv")
    assert list(table.columns) == ["path", "score", "threshold", "verdict"]
    broken = table[table["verdict"] == "unreadable"]
    assert [Path(path).name for path in broken["path"]] == ["broken.png"]
    assert "broken.png" in done.stderr
    found = table.drop(broken.index).assign(
        image_id=lambda rows: rows["path"].map(lambda path: Path(path).stem)
    )
    found = found.set_index("image_id").loc[expected.index]
    np.testing.assert_allclose(found["score"], expected["score"], rtol=1e-5)
    assert (found["verdict"] == "anomalous").tolist() == expected["flagged"].tolist()
    drawn = sorted((tmp_path / "out" / "maps").iterdir())
    assert len(drawn) == len(expected)
    with Image.open(drawn[0]) as picture:
        assert picture.size == (32, 32)
    assert "images/s" in done.stdout
    assert "p99" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("detector", ["gaussian", "patch_memory", "fine_patch_memory"])
def test_other_detectors_give_the_scores_of_the_evaluation_too(
    detector: str, run_project: Any, tmp_path: Path
) -> None:
    run_project(tmp_path, *PIPELINES, detector=detector, **{"patches.size": 64})
    expected = lay_out_test_images(tmp_path, tmp_path / "new")
    done = irp("score", model_of(tmp_path), tmp_path / "new", "--json")
    assert done.returncode == 0, done.stderr
    found = {Path(row["path"]).stem: row["score"] for row in json.loads(done.stdout)["images"]}
    np.testing.assert_allclose([found[name] for name in expected.index], expected["score"], rtol=1e-3)


def test_for_machines_there_is_nothing_but_json(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(PROJECT)
    bootstrap_project(PROJECT)
    expected = lay_out_test_images(root, tmp_path / "new")
    asked = ["irp", "score", str(model_of(root)), str(tmp_path / "new"), "--json"]
    answer = json.loads(CliRunner().invoke(cli, asked).stdout)
    assert len(answer["images"]) == len(expected) == answer["normal"] + answer["anomalous"]
    assert answer["images_per_second"] > 0
    assert 0 < answer["latency_ms"]["p50"] <= answer["latency_ms"]["p99"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["nowhere.safetensors", "{images}"], "There is no model at"),
        (["{model}", "no/such/folder"], "is no folder"),
        (["{model}", "{images}", "--maps"], "name it with --out"),
    ],
)
def test_a_mistake_ends_in_one_message(
    options: list[str], message: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(PROJECT)
    bootstrap_project(PROJECT)
    places = {"model": model_of(root), "images": root / "01_raw"}
    done = CliRunner().invoke(cli, ["irp", "score", *[option.format(**places) for option in options]])
    assert done.exit_code == 1
    assert message in done.output
    assert "Traceback" not in done.output


@pytest.mark.slow
def test_an_exported_model_scores_a_folder_through_onnxruntime(root: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
    lay_out_test_images(root, tmp_path / "new")
    asked = [
        sys.executable,
        "-m",
        "kedro",
        "irp",
        "export",
        str(model_of(root)),
        "--to",
        str(tmp_path / "m.onnx"),
    ]
    done = subprocess.run(asked, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "anomalous above" in done.stdout
    by_onnx, by_torch = (
        json.loads(irp("score", model, tmp_path / "new", "--json").stdout)["images"]
        for model in (tmp_path / "m.onnx", model_of(root))
    )
    assert [row["path"] for row in by_onnx] == [row["path"] for row in by_torch]
    # The run extracted in bfloat16 where that is fast; the graph is float32.
    np.testing.assert_allclose([row["score"] for row in by_onnx], [row["score"] for row in by_torch], rtol=0.2)
