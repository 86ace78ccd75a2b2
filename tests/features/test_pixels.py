from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from irp_kedro.core.anomaly_maps import AnomalyMaps
from irp_kedro.datasets.image_reading import read_mask
from irp_kedro.features.pixels import COLUMNS, measure_pixels, resized
from irp_kedro.features.preparation import Preparation

SIDE = 16
PREPARATION = Preparation(crop="none", size=SIDE)


def mask_at(left: int) -> np.ndarray:
    mask = np.zeros((2 * SIDE, 2 * SIDE), dtype=np.uint8)
    mask[8:20, left : left + 8] = 255
    return mask


@pytest.fixture
def test_split(tmp_path: Path) -> pd.DataFrame:
    """A good image, a dent and a scratch with masks of twice the prepared size, and a stain without one."""
    for name, left in (("dent", 4), ("scratch", 20)):
        Image.fromarray(mask_at(left)).save(tmp_path / f"{name}.png")
    rows = [
        ("good", "normal", "", ""),
        ("dent", "anomalous", "dent", str(tmp_path / "dent.png")),
        ("scratch", "anomalous", "scratch", str(tmp_path / "scratch.png")),
        ("stain", "anomalous", "stain", ""),
    ]
    table = pd.DataFrame(rows, columns=["image_id", "label", "defect_type", "mask_path"])
    return table.assign(path="not opened")


def maps_of(*image_ids: str) -> AnomalyMaps:
    values = np.random.default_rng(0).random((len(image_ids), SIDE, SIDE)).astype(np.float16)
    return AnomalyMaps(image_ids=image_ids, maps=values, method="gradient")


def test_pixels_of_good_images_count_with_every_type(test_split: pd.DataFrame) -> None:
    maps = maps_of("dent", "scratch", "good", "stain")
    table = measure_pixels(maps, test_split, PREPARATION, read_mask).set_index("defect_type")
    assert list(table.index) == ["dent", "scratch", "all"]
    assert table["images"].tolist() == [1, 1, 2]
    masks = {name: mask_at(left)[::2, ::2] > 0 for name, left in (("dent", 4), ("scratch", 20))}
    masks["good"] = np.zeros((SIDE, SIDE), dtype=bool)
    for row, names in {"dent": ["dent", "good"], "all": ["dent", "scratch", "good"]}.items():
        expected = roc_auc_score(
            np.concatenate([masks[name].ravel() for name in names]),
            np.concatenate([maps.of(name).ravel() for name in names]),
        )
        assert table.loc[row, "pixel_auroc"] == pytest.approx(expected, abs=1e-6)


def test_images_without_a_map_or_a_mask_are_left_out(test_split: pd.DataFrame) -> None:
    table = measure_pixels(
        maps_of("good", "dent", "stain", "of the training set"), test_split, PREPARATION, read_mask
    )
    assert table["defect_type"].tolist() == ["dent", "all"]


@pytest.mark.parametrize("mapped", [("good",), ("stain",), ()])
def test_without_a_mask_there_is_no_row(test_split: pd.DataFrame, mapped: tuple[str, ...]) -> None:
    table = measure_pixels(maps_of(*mapped), test_split, PREPARATION, read_mask)
    assert table.empty
    assert tuple(table.columns) == COLUMNS


def test_a_coarse_map_is_spread_over_the_image() -> None:
    fine = resized(np.array([[0.0, 1.0]], dtype=np.float32), (2, 8))
    assert fine.shape == (2, 8)
    assert (np.diff(fine[0]) >= 0).all()
    assert (fine[0, 0], fine[0, -1]) == (0.0, 1.0)


def test_a_mask_goes_through_the_crop_of_its_image() -> None:
    wide = np.zeros((8, 16), dtype=bool)
    wide[:, :4] = True  # outside the centred square
    assert not Preparation(crop="centre", size=8).prepare_mask(wide, of=Path("not opened")).any()
    assert Preparation(crop="none", size=8).prepare_mask(wide, of=Path("not opened"))[:, :2].all()
