from pathlib import Path

import numpy as np
from PIL import Image

from irp_kedro.features.bank import FeatureStore
from irp_kedro.features.preparation import Preparation, PreparedImages
from irp_kedro.parameters import FeatureParameters, ViewParameters
from irp_kedro.pipelines.features.nodes import extract_features


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
