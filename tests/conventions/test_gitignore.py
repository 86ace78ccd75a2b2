"""What may be committed and what may not: pointers, records and metrics; never images, features or models."""

import shutil
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
CYCLE = "data/lineage/cell/vanilla/cycle_000"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository")
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    shutil.copy(PROJECT / ".gitignore", folder)
    return folder


def is_ignored(path: str, repository: Path) -> bool:
    done = subprocess.run(["git", "check-ignore", "--quiet", path], cwd=repository, check=False)
    return done.returncode == 0


@pytest.mark.parametrize(
    "path",
    [
        f"{CYCLE}/images.dvc",
        f"{CYCLE}/removals.csv.dvc",
        f"{CYCLE}/contents.csv.dvc",
        f"{CYCLE}/lineage.json",
        "data/lineage/cell/vanilla/.gitignore",
        "data/08_reporting/cell/vanilla/metrics.json",
        "data/08_reporting/cell/summary.csv",
        "data/08_reporting/cell/report.md",
        "data/08_reporting/auroc_by_contamination.csv",
        "data/08_reporting/table_1.csv",
        "data/08_reporting/cell/vanilla/roc_curve.csv",
        "data/dvc/08_reporting/default/vanilla/metrics_by_type.csv",
        "data/dvc/08_reporting/default/oracle/metrics.json",
        "data/01_raw/.gitkeep",
        "dvc.lock",
    ],
)
def test_pointers_records_and_metrics_can_be_committed(path: str, repository: Path) -> None:
    assert not is_ignored(path, repository)


@pytest.mark.parametrize(
    "path",
    [
        "data/01_raw/sample/train/good/0000.png",
        "data/dvc/01_raw/sample/train/good/0000.png",
        "data/02_intermediate/cell/manifest.csv",
        "data/04_feature/store/recipe/shard.npy",
        "data/05_model_input/cell/snapshot_contents/id.png",
        "data/05_model_input/cell/vanilla/snapshots/cycle_000/cycle.json",
        "data/06_models/cell/vanilla/model.safetensors",
        "data/08_reporting/cell/gallery/gallery.json",
        "data/08_reporting/cell/figures/roc_curves/roc_curves.png",
        "data/08_reporting/cell/report.html",
        "data/08_reporting/report.html",
        "conf/local/credentials.yml",
        ".venv/bin/python",
    ],
)
def test_images_features_and_models_cannot_be_committed(path: str, repository: Path) -> None:
    assert is_ignored(path, repository)
