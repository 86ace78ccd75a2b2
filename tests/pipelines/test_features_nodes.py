from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from irp_kedro.features.bank import FeatureStore
from irp_kedro.features.preparation import Preparation, PreparedImages
from irp_kedro.parameters import FeatureParameters, PatchParameters, RefinementParameters, ViewParameters
from irp_kedro.pipelines.features.nodes import extract_features, extract_patches


def test_the_bank_holds_every_view_and_a_second_call_extracts_nothing(tmp_path: Path) -> None:
    paths = {}
    for number in range(2):
        path = tmp_path / f"{number}.png"
        Image.fromarray(np.full((32, 32, 3), 40 * number, dtype=np.uint8)).save(path)
        paths[f"{number:032x}"] = path
    asked = (
        PreparedImages(paths, Preparation(crop="none", size=32)),
        FeatureStore(tmp_path / "store"),
        "efficientnet_lite0",
        ViewParameters(bank=2, train=1, score=2),
        FeatureParameters(scales=(1.0,), precision="float32"),
        "cpu",
    )
    bank, record = extract_features(*asked)
    assert bank.read(sorted(paths)).shape[:2] == (2, 2)
    assert (record["extracted"], record["reused"]) == (2, 0)
    assert record["seconds"] > 0
    _, again = extract_features(*asked)
    assert (again["extracted"], again["reused"]) == (0, 2)


@pytest.mark.parametrize(("asked", "grid"), [("square", 2 * 2), ("keep", 3 * 1)])
def test_patches_are_of_the_square_unless_the_shape_of_images_is_to_be_kept(
    asked: Any, grid: int, tmp_path: Path
) -> None:
    path = tmp_path / "high.png"
    Image.fromarray(np.full((80, 32, 3), 40, dtype=np.uint8)).save(path)
    images = PreparedImages({"0" * 32: path}, Preparation(crop="none", size=32), 0.4)
    bank, _ = extract_patches(
        images,
        FeatureStore(tmp_path / "store"),
        "efficientnet_lite0",
        FeatureParameters(precision="float32"),
        PatchParameters(size=64, aspect=asked, turns=1),
        "patch_memory",
        RefinementParameters(judge=("patch_memory", "fine_patch_memory", "colour_memory")),
        "cpu",
    )
    assert bank.read(bank.digests).shape[:2] == (1, grid)
    assert bank.fine().read(bank.digests).shape[:2] == (1, 4 * grid)
    assert bank.colours().read(bank.digests).shape[:2] == (1, 4 * grid)
    assert bank.read_recipe().aspect == (0.4 if asked == "keep" else 1)
