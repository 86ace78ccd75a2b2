"""A whole run on parts that lie at any angle, and new ones scored by what it trained."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tests.features.test_pose import SIDE, bolt

from irp_kedro.datasets.anomaly_maps import AnomalyMapsDataset
from irp_kedro.datasets.image_reading import read_mask
from irp_kedro.datasets.saved_scorer import open_scorer
from irp_kedro.datasets.scored_images import score_files
from irp_kedro.features.pixels import measure_pixels
from irp_kedro.features.preparation import Preparation


def draw(path: Path, angle: float, *, dent: bool = False) -> None:
    """Draw a bolt in some noise, with a bright dent in its head and the mask of that, or without."""
    pixels = np.asarray(bolt(angle)).astype(float)
    pixels += np.random.default_rng(round(1000 * angle)).normal(0, 4, pixels.shape)
    turn = np.radians(angle)
    x, y = SIDE / 2 - 50 * np.cos(turn), SIDE / 2 - 50 * np.sin(turn)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    dented = (columns - x) ** 2 + (rows - y) ** 2 < 36
    if dent:
        pixels[dented] = 255
        masks = path.parents[2] / "ground_truth" / "dent"
        masks.mkdir(parents=True, exist_ok=True)
        Image.fromarray(dented).save(masks / f"{path.stem}_mask.png")
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path)


@pytest.fixture(scope="module")
def root(run_project: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("loose")
    for number in range(24):
        draw(folder / "bolt" / "train" / "good" / f"{number:02}.png", 15 * number)
    for number in range(8):
        draw(folder / "bolt" / "test" / "good" / f"{number:02}.png", 45 * number + 7)
        draw(folder / "bolt" / "test" / "dent" / f"{number:02}.png", 45 * number + 20, dent=True)
    asked = {"dataset.name": "mvtec_ad", "dataset.path": folder, "detector": "patch_memory"}
    run_project(folder / "data", **asked, **{"contamination.level": 0.25})
    return folder / "data"


def test_every_bolt_is_laid_level_and_the_page_says_so(root: Path) -> None:
    (prepared,) = root.glob("02_intermediate/*/prepared_images.json")
    assert 0.6 < json.loads(prepared.read_text())["aligned"]["side"] < 0.66
    (page,) = root.glob("08_reporting/*/report.html")
    assert "Every part is laid level" in page.read_text(encoding="utf-8")


def test_a_dent_is_found_where_its_mask_lies_laid_level(root: Path) -> None:
    (path,) = root.glob("08_reporting/*/iterative_refinement/pixel_metrics.csv")
    (maps,) = root.glob("07_model_output/*/iterative_refinement/anomaly_maps.npz")
    (test,) = root.glob("03_primary/*/test_manifest.csv")
    manifest = pd.read_csv(test, keep_default_na=False, dtype={"image_id": str})
    as_taken = measure_pixels(
        AnomalyMapsDataset(filepath=str(maps)).load(), manifest, Preparation(crop="none", size=32), read_mask
    )
    laid, taken = (table.set_index("defect_type").loc["dent"] for table in (pd.read_csv(path), as_taken))
    assert laid["images"] == 4  # the others were the pool
    assert laid["pixel_auroc"] > taken["pixel_auroc"] + 0.05  # masks left where they were drawn do not fit


def test_a_saved_model_scores_a_bolt_as_the_evaluation_did_however_it_lies(root: Path) -> None:
    (model,) = root.glob("06_models/*/iterative_refinement/model.safetensors")
    (table,) = root.glob("07_model_output/*/iterative_refinement/test_scores.csv")
    expected = pd.read_csv(table)
    scored = score_files(open_scorer(model, "cpu", 8), [Path(path) for path in expected["path"]])
    np.testing.assert_allclose([image.score for image in scored], expected["score"], rtol=1e-4)
