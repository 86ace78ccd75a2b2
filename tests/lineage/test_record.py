import json
from collections.abc import Callable
from dataclasses import fields, replace
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from irp_kedro.errors import LineageError
from irp_kedro.lineage.record import (
    LineageRecord,
    Provenance,
    cycle_folder,
    cycle_number,
    json_digest,
    manifest_digest,
    software_versions,
)
from irp_kedro.writing import write_json

MANIFEST = pd.DataFrame(
    {
        "image_id": ["x", "y"],
        "path": ["/one/x.png", "/one/y.png"],
        "label": ["normal", "anomalous"],
        "digest": ["11", "22"],
        "mask_path": ["", "/one/mask.png"],
    }
)


@pytest.fixture
def record(stated: Callable[..., Provenance]) -> LineageRecord:
    return LineageRecord(
        strategy="vanilla",
        cycle=12,
        stop="patience",
        parent="cell/vanilla/cycle_011",
        parent_tree="1.dir",
        tree="2.dir",
        has_tree=True,
        images=5,
        size=50,
        removed=1,
        restored=0,
        removals="3",
        contents="4",
        model="5",
        mode="dvc",
        provenance=stated(code_changed=None),
    )


@pytest.fixture
def path(tmp_path: Path, record: LineageRecord) -> Path:
    write_json(tmp_path / "lineage.json", record.as_dict())
    return tmp_path / "lineage.json"


def test_a_record_comes_back_as_it_was(path: Path, record: LineageRecord) -> None:
    assert LineageRecord.read(path) == record


def test_a_record_names_its_snapshot_and_the_time_in_utc(record: LineageRecord) -> None:
    assert record.name == "cell/vanilla/cycle_012"
    assert record.is_last
    assert not replace(record, stop="").is_last
    assert datetime.fromisoformat(record.time).utcoffset() == timedelta(0)


def test_a_missing_record_is_named(tmp_path: Path) -> None:
    with pytest.raises(LineageError, match=r"'.*/lineage\.json' is missing"):
        LineageRecord.read(tmp_path / "lineage.json")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"{}", b"\xff\xfe", b'{"provenance": 1}'])
def test_what_is_no_record_is_refused_by_its_path(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "lineage.json").write_bytes(content)
    with pytest.raises(LineageError, match=r"'.*/lineage\.json' is no lineage record of form 1"):
        LineageRecord.read(tmp_path / "lineage.json")


@pytest.mark.parametrize(
    "edit",
    [
        {"images": None},
        {"images": "5"},
        {"cycle": "12"},
        {"stop": None},
        {"mode": "cloud"},
        {"more": 1},
        {"schema": 2},
        {"provenance": None},
    ],
    ids=str,
)
def test_a_record_of_another_form_is_refused(path: Path, edit: dict[str, Any]) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | edit))
    with pytest.raises(LineageError, match=r"lineage\.json' is no lineage record of form 1"):
        LineageRecord.read(path)


@pytest.mark.parametrize("field", [field.name for field in fields(LineageRecord)])
def test_a_record_without_one_of_its_fields_is_refused_or_takes_the_default(path: Path, field: str) -> None:
    content = json.loads(path.read_text())
    del content[field]
    path.write_text(json.dumps(content))
    if field in {"time", "schema"}:
        assert LineageRecord.read(path).schema == 1
        return
    with pytest.raises(LineageError, match=field):
        LineageRecord.read(path)


def test_folders_are_numbered_and_numbers_come_back_from_them() -> None:
    assert [cycle_folder(cycle) for cycle in (0, 7, 1000)] == ["cycle_000", "cycle_007", "cycle_1000"]
    assert [cycle_number(Path("cell") / cycle_folder(cycle)) for cycle in (0, 7, 1000)] == [0, 7, 1000]


def test_a_run_goes_on_where_only_the_run_itself_differs(stated: Callable[..., Provenance]) -> None:
    assert stated(run="second run").continues(stated(run="first run"))


@pytest.mark.parametrize("field", [field.name for field in fields(Provenance) if field.name != "run"])
def test_a_run_does_not_go_on_where_anything_else_differs(
    stated: Callable[..., Provenance], field: str
) -> None:
    assert not stated(**{field: "other"}).continues(stated())


def test_every_run_has_a_name_of_its_own(stated: Callable[..., Provenance]) -> None:
    values = {field.name: getattr(stated(), field.name) for field in fields(Provenance) if field.name != "run"}
    assert len({Provenance(**values).run, Provenance(**values).run, ""}) == 3


def test_the_digest_of_a_manifest_does_not_depend_on_where_images_lie_or_on_their_order() -> None:
    moved = MANIFEST.assign(path=["/two/x.png", "/two/y.png"], mask_path=["", "/two/mask.png"])
    assert manifest_digest(moved) == manifest_digest(MANIFEST)
    assert manifest_digest(MANIFEST.iloc[::-1]) == manifest_digest(MANIFEST)


@pytest.mark.parametrize(
    "other",
    [
        MANIFEST.assign(label=["normal", "normal"]),
        MANIFEST.assign(digest=["11", "23"]),
        MANIFEST.assign(image_id=["x", "z"]),
        MANIFEST.iloc[:1],
    ],
    ids=["label", "bytes", "id", "one less"],
)
def test_the_digest_of_a_manifest_depends_on_its_images_and_labels(other: pd.DataFrame) -> None:
    assert manifest_digest(other) != manifest_digest(MANIFEST)


def test_the_digest_of_a_value_depends_on_the_value_alone() -> None:
    assert json_digest({"level": 0.2, "seed": 0}) == json_digest({"seed": 0, "level": 0.2})
    digests = [json_digest(value) for value in ({"seed": 0}, {"seed": 1}, {"seed": "0"}, {}, [])]
    assert len(set(digests)) == 5
    assert {len(digest) for digest in digests} == {16}


def test_the_versions_are_those_that_are_installed() -> None:
    versions = software_versions()
    assert {"python", "irp-kedro", "dvc", "torch"} <= set(versions)
    assert versions["dvc"] == version("dvc")
