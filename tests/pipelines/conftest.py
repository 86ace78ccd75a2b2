from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from irp_kedro.features.bank import FeatureBank


@pytest.fixture
def manifest_of() -> Callable[..., pd.DataFrame]:
    """Builds a manifest from (split, label, defect_type) rows."""

    def build(*rows: tuple[str, str, str], **columns: Any) -> pd.DataFrame:
        numbered = range(len(rows))
        table = pd.DataFrame(rows, columns=["split", "label", "defect_type"]).assign(
            image_id=[f"id{number}" for number in numbered],
            path=[f"/images/{number}.png" for number in numbered],
            product_class="part",
            mask_path="",
            digest=[f"{number:032x}" for number in numbered],
            width=32,
            height=32,
        )
        return table.assign(**columns)

    return build


@pytest.fixture
def no_patches(tmp_path: Path) -> FeatureBank:
    """The bank of patches where no detector or judge asks for any."""
    return FeatureBank.empty(tmp_path / "store")


@pytest.fixture
def bank_of(keep_features: Callable[..., FeatureBank]) -> Callable[..., FeatureBank]:
    """Builds a bank of random features for a manifest; row ``odd`` lies far from the others."""

    def build(manifest: pd.DataFrame, odd: int | None = None) -> FeatureBank:
        features = np.random.default_rng(0).normal(size=(len(manifest), 1, 4))
        if odd is not None:
            features[odd] += 20
        return keep_features(list(manifest["digest"]), features)

    return build
