from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from irp_kedro.core.manifest import COLUMNS, as_manifest, labels_known, opaque_ids
from irp_kedro.errors import SourceError

ROW = {
    "image_id": "0a",
    "path": "x.png",
    "split": "train",
    "product_class": "pill",
    "label": "normal",
    "defect_type": "",
    "mask_path": "",
    "digest": "0a",
    "width": 8,
    "height": 6,
}


def table(*rows: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame([{**ROW, "image_id": f"id{i}", **row} for i, row in enumerate(rows)])


def test_a_manifest_has_its_columns_in_order_and_no_others() -> None:
    given_table = table({"extra": 1}, {"extra": 2})[["extra", *reversed(COLUMNS)]]
    assert tuple(as_manifest(given_table).columns) == COLUMNS


def test_missing_text_becomes_empty_and_sizes_become_whole_numbers() -> None:
    manifest = as_manifest(table({"mask_path": None, "defect_type": float("nan"), "width": 8.0}))
    assert manifest.loc[0, "mask_path"] == ""
    assert manifest.loc[0, "defect_type"] == ""
    assert manifest["width"].dtype.kind == "i"


def test_rows_are_counted_from_nought_and_the_table_given_stays_as_it_was() -> None:
    given_table = table({}, {"mask_path": None}).set_index(pd.Index([7, 9]))
    before = given_table.copy()
    assert list(as_manifest(given_table).index) == [0, 1]
    pd.testing.assert_frame_equal(given_table, before)


def test_a_manifest_is_a_manifest_already() -> None:
    once = as_manifest(table({}, {"label": "unknown"}))
    pd.testing.assert_frame_equal(as_manifest(once), once)


def test_missing_columns_are_named() -> None:
    with pytest.raises(SourceError, match=r"lacks the columns \['label', 'digest'\]"):
        as_manifest(table({}).drop(columns=["digest", "label"]))


@pytest.mark.parametrize(("column", "value"), [("split", "validation"), ("label", "good")])
def test_an_unknown_split_or_label_is_refused_with_the_known_ones(column: str, value: str) -> None:
    with pytest.raises(SourceError, match=rf"{column} must be one of .*'{value}'"):
        as_manifest(table({}, {column: value}))


def test_a_repeated_id_is_refused_by_name() -> None:
    with pytest.raises(SourceError, match="'twice'"):
        as_manifest(table({"image_id": "twice"}, {}, {"image_id": "twice"}))


@given(
    st.lists(st.sampled_from([f"{i:032x}" for i in range(3)] + ["f" * 32, "f" * 16 + "0" * 16]), max_size=12)
)
def test_opaque_ids_never_repeat_and_start_like_the_digest(digests: list[str]) -> None:
    ids = opaque_ids(digests)
    assert len(set(ids)) == len(digests)
    assert all(name.startswith(digest[:16]) for name, digest in zip(ids, digests, strict=True))


@pytest.mark.parametrize(
    ("labels", "known"),
    [(["normal", "anomalous"], True), (["normal", "unknown"], False), (["unknown"], False), ([], False)],
)
def test_labels_are_known_when_every_image_has_one(labels: list[str], *, known: bool) -> None:
    manifest = pd.DataFrame({"label": pd.Series(labels, dtype=str)})
    assert labels_known(manifest) is known
