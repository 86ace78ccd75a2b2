"""Real images, where they are at hand: counts as published, and one whole run on a small part of pill."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from irp_kedro.datasets.sources import SourceRequest, find_source
from irp_kedro.datasets.validation import validate_images
from irp_kedro.parameters import PreparationParameters, SampleParameters
from irp_kedro.pipelines.ingestion.nodes import prepare_images

pytestmark = pytest.mark.realdata


@pytest.fixture(scope="module")
def real_data() -> Path:
    folder = os.environ.get("IRP_REAL_DATA")
    if not folder:
        pytest.skip("IRP_REAL_DATA names no folder of real images")
    return Path(folder)


@pytest.mark.parametrize(
    ("source", "folder", "counts", "loose"),
    [
        (("mvtec_ad", "pill"), "mvtec_ad", (267, 0, 26, 141), False),
        (("mvtec_ad", "screw"), "mvtec_ad", (320, 0, 41, 119), True),
        (("ksdd2", ""), "kolektorsdd_in_ksdd2_layout", (223, 33, 110, 17), False),
    ],
)
def test_every_real_image_is_valid_and_counted_and_screws_alone_are_laid_level(
    real_data: Path, source: tuple[str, str], folder: str, counts: tuple[int, ...], loose: bool
) -> None:
    name, product_class = source
    request = SourceRequest(
        path=real_data / folder, product_class=product_class, raw=real_data, sample=SampleParameters()
    )
    manifest = validate_images(find_source(name).read(request), on_duplicate="error", progress=False)
    found = [
        int(((manifest["split"] == split) & (manifest["label"] == label)).sum())
        for split in ("train", "test")
        for label in ("normal", "anomalous")
    ]
    assert tuple(found) == counts
    prepared = prepare_images(manifest, PreparationParameters(), pd.DataFrame())
    assert (prepared.preparation.aligned is not None) == loose


@pytest.mark.parametrize(
    ("asked", "counts"),
    [
        # A fifth of 141 defects is injected; half of them, less one, was the pool and is not tested.
        ({"dataset.name": "mvtec_ad", "dataset.product_class": "pill"}, (28, 26 + 71)),
        ({"dataset.name": "mvtec_ad", "dataset.product_class": "screw"}, (23, 41 + 60)),
        # The defective training images are the pool, and the test split stays whole.
        ({"dataset.name": "ksdd2"}, (6, 127)),
    ],
    ids=["pill", "screw", "kolektor"],
)
def test_a_fifth_of_the_real_defects_is_injected_and_none_of_the_pool_is_tested(
    real_data: Path,
    run_project: Callable[..., str],
    tmp_path: Path,
    asked: dict[str, str],
    counts: tuple[int, int],
) -> None:
    folders = {"mvtec_ad": "mvtec_ad", "ksdd2": "kolektorsdd_in_ksdd2_layout"}
    path = real_data / folders[asked["dataset.name"]]
    run_project(tmp_path, "ingestion", "contamination", **asked, **{"dataset.path": path})
    (folder,) = tmp_path.glob("03_primary/*")
    training, test = (pd.read_csv(folder / f"{split}_manifest.csv") for split in ("training", "test"))
    assert ((training["label"] == "anomalous").sum(), len(test)) == counts
    assert not set(training["digest"]) & set(test["digest"])


def test_a_whole_run_on_real_images_ends_with_metrics(
    real_data: Path, run_project: Callable[..., str], tmp_path: Path
) -> None:
    pill, small = real_data / "mvtec_ad" / "pill", tmp_path / "pill"
    parts = {"train/good": 40, "test/good": 10, "test/crack": 10, "test/color": 10}
    for part, count in parts.items():
        (small / part).mkdir(parents=True)
        for image in sorted((pill / part).glob("*.png"))[:count]:
            shutil.copy(image, small / part)
    asked: dict[str, Any] = {"dataset.name": "mvtec_ad", "dataset.path": small, "preparation.size": 64}
    terminal = run_project(tmp_path / "data", **asked, **{"contamination.level": 0.4})
    (metrics,) = (tmp_path / "data").glob("08_reporting/*/iterative_refinement/metrics.json")
    content = json.loads(metrics.read_text(encoding="utf-8"))
    assert content["removals"]["n_images"] == 40 + 8
    assert 0 <= content["image"]["image_auroc"] <= 1
    assert "iterative_refinement" in terminal


def test_the_page_of_a_pill_cell_opens_whole_and_shows_where_the_judge_saw_what_it_removed(
    real_data: Path, run_project: Callable[..., str], browser: Any, tmp_path: Path
) -> None:
    asked: dict[str, Any] = {"dataset.name": "mvtec_ad", "dataset.product_class": "pill"}
    asked |= {"dataset.path": real_data / "mvtec_ad", "contamination.level": 0.3}
    asked |= {"preparation.size": 96, "patches.size": 160, "refinement.max_cycles": 2}
    run_project(tmp_path, **asked)
    (path,) = tmp_path.glob("08_reporting/*/report.html")
    for place in (path, tmp_path / "08_reporting" / "report.html"):
        page, faults = browser.open(place)
        assert faults == []
        assert browser.is_whole(page)
        assert place.stat().st_size < 10_000_000
        page.close()
    page, _ = browser.open(path)
    assert browser.parts_without_entry(page) == []
    (log,) = tmp_path.glob("05_model_input/*/iterative_refinement/removal_log.csv")
    removed = pd.read_csv(log).drop_duplicates("image_id", keep="last")
    removed = removed[removed["action"] == "removed"]
    assert page.locator("#removed .card").count() == len(removed) > 0
    assert page.locator("#near .card").count() == 24
    shown = page.locator(".card .whose").all_inner_texts()
    assert set(shown) == {"Map: patch_memory, judge", "Map: colour_memory, judge"}
    assert shown.count("Map: colour_memory, judge") == (removed["judge"] == "colour_memory").sum()
    assert page.locator(".card .images").count() == page.locator(".card .whose").count()
    page.close()
