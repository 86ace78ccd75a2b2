"""`kedro irp score` in a process of its own, after a run."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner
from kedro.framework.startup import bootstrap_project
from PIL import Image

from irp_kedro.cli import cli
from irp_kedro.datasets.model import write_model
from irp_kedro.datasets.sample import draw_defective, draw_normal
from irp_kedro.datasets.saved_scorer import read_saved, training_images
from irp_kedro.detectors.settings import TrainedDetector
from irp_kedro.features.bank import FeatureStore
from irp_kedro.features.extraction import ExtractionPlan, extract
from irp_kedro.features.preparation import PreparedImages
from irp_kedro.scoring import recipe_of
from irp_kedro.strategies import score_images

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
    line = [sys.executable, "-m", "kedro", "irp", command, *map(str, options)]
    # One thread, as in this process: kernels may round otherwise for several.
    threads = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(line, cwd=PROJECT, capture_output=True, text=True, check=False, env=threads)


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
@pytest.mark.parametrize("detector", ["gaussian", "patch_memory", "fine_patch_memory", "colour_memory"])
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
    answer = asked("score", model_of(root), tmp_path / "new")
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


@pytest.fixture(scope="module")
def fifty_new_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of images that no run has seen: the sample's generator with another seed."""
    folder = tmp_path_factory.mktemp("new")
    for index in range(35):
        Image.fromarray(draw_normal(7, "test", index, 32)).save(folder / f"good_{index}.png")
    for index in range(15):
        _, pixels, _ = draw_defective(7, "scratch", index, 32)
        Image.fromarray(pixels).save(folder / f"scratch_{index}.png")
    return folder


def scores_by_the_bank(model: TrainedDetector, folder: Path, store: Path) -> dict[str, float]:
    """Return the scores of a folder the long way: a feature bank of its own, the detector bound to that."""
    recipe = recipe_of(model)
    paths = {hashlib.md5(path.read_bytes()).hexdigest(): path for path in folder.iterdir()}  # noqa: S324 - DVC's
    images = PreparedImages(paths, recipe.preparation)
    plan = ExtractionPlan(
        backbone=recipe.backbone,
        scales=recipe.scales,
        n_views=len(recipe.angles),
        precision=recipe.precision,
        batch_views=16,
        shard_images=64,
    )
    bank, _ = extract(images, plan, FeatureStore(store), torch.device("cpu"))
    scores = score_images(model, bank, list(paths), "cpu")
    return dict(zip([path.name for path in paths.values()], scores, strict=True))


def test_fifty_new_images_are_scored_in_a_fresh_process_where_nothing_of_the_run_is_left(
    root: Path, fifty_new_images: Path, tmp_path: Path
) -> None:
    model = tmp_path / "handed_on.safetensors"
    shutil.copy(model_of(root), model)
    away = root.rename(root.with_name("moved_away"))
    try:
        done = irp("score", model, fifty_new_images, "--json", "--params", f"data_root={tmp_path / 'empty'}")
    finally:
        away.rename(root)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    found = {Path(row["path"]).name: row["score"] for row in answer["images"]}
    saved = read_saved(model)
    expected = scores_by_the_bank(saved, fifty_new_images, tmp_path / "store")
    assert len(found) == 50
    np.testing.assert_allclose([found[name] for name in expected], list(expected.values()), rtol=1e-5)
    above = [row["score"] > saved.config["threshold"] for row in answer["images"]]
    assert [row["verdict"] == "anomalous" for row in answer["images"]] == above


def asked(command: str, *options: object) -> Any:
    """Return the answer of a command in this process."""
    done = CliRunner().invoke(cli, ["irp", command, *map(str, options), "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def agree(by_onnx: Any, by_torch: Any) -> None:
    assert [row["path"] for row in by_onnx["images"]] == [row["path"] for row in by_torch["images"]]
    scores = [[row["score"] for row in answer["images"]] for answer in (by_onnx, by_torch)]
    assert len(scores[0]) == 50
    np.testing.assert_allclose(*scores, rtol=1e-4)
    verdicts = [[row["verdict"] for row in answer["images"]] for answer in (by_onnx, by_torch)]
    assert verdicts[0] == verdicts[1]


def test_a_model_trained_in_float32_scores_new_images_alike_through_onnxruntime(
    run_project: Any, fifty_new_images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
    told = {"features.precision": "float32", "training.precision": "float32", "features.scales": "[1.0]"}
    run_project(tmp_path, *PIPELINES[:-1], **told)
    monkeypatch.chdir(PROJECT)
    model = model_of(tmp_path)
    facts = asked("export", model, "--to", tmp_path / "model.onnx")
    assert (facts["trained_in"], facts["fit"]) == ("float32", None)
    assert facts["threshold"] == read_saved(model).config["threshold"]
    agree(asked("score", tmp_path / "model.onnx", fifty_new_images), asked("score", model, fifty_new_images))


@pytest.mark.slow
def test_a_model_trained_in_bfloat16_scores_as_its_graph_where_float32_is_asked_for(
    run_project: Any, fifty_new_images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
    run_project(tmp_path, *PIPELINES[:-1], **{"features.precision": "bfloat16"})
    monkeypatch.chdir(PROJECT)
    model = model_of(tmp_path)
    facts = asked("export", model, "--to", tmp_path / "model.onnx")
    assert facts["trained_in"] == "bfloat16"
    assert facts["fit"]["n_images"] == len(training_images(model))
    assert facts["threshold"] == pytest.approx(facts["trained_threshold"] + facts["fit"]["shift"])
    in_float32 = asked("score", model, fifty_new_images, "--precision", "float32")
    agree(asked("score", tmp_path / "model.onnx", fifty_new_images), in_float32)
    shutil.copy(model, tmp_path / "alone.safetensors")
    done = CliRunner().invoke(
        cli, ["irp", "export", str(tmp_path / "alone.safetensors"), "--to", str(tmp_path / "alone.onnx")]
    )
    assert "no image was at hand to fit the threshold by" in done.output


def test_the_images_that_a_threshold_is_fitted_by_are_those_the_model_was_trained_on(root: Path) -> None:
    (listing,) = root.glob("05_model_input/*/iterative_refinement/refined_manifest.csv")
    found = training_images(model_of(root))
    assert [str(path) for path in found] == list(pd.read_csv(listing)["path"])
    assert len(found) > 8


def test_a_threshold_that_does_not_fit_is_said_to_and_home_is_understood(
    root: Path, fifty_new_images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(PROJECT)
    monkeypatch.setenv("HOME", str(tmp_path))
    bootstrap_project(PROJECT)
    saved = read_saved(model_of(root))
    recipe = {**saved.config["recipe"], "precision": "bfloat16"}
    write_model(tmp_path / "alone.safetensors", replace(saved, config={**saved.config, "recipe": recipe}))
    (tmp_path / "two").mkdir()
    for name in ("good_0.png", "scratch_0.png"):
        shutil.copy(fifty_new_images / name, tmp_path / "two")
    options = ["--precision", "float32", "--out", "~/out", "--maps"]
    done = CliRunner().invoke(cli, ["irp", "score", "~/alone.safetensors", "~/two", *options])
    assert done.exit_code == 0, done.output
    assert "--images FOLDER" in done.stderr
    assert "images/s, maps apart" in done.stdout
    assert str(tmp_path / "out" / "scores.csv") in done.stdout
    assert len(list((tmp_path / "out" / "maps").iterdir())) == 2
    assert not (PROJECT / "~").exists()
