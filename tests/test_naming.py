import re
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel

from irp_kedro.naming import cell_name, result_digest
from irp_kedro.parameters import Parameters, check_parameters

# Room on every side, so that one key can be changed without breaking a rule that joins two.
ROOMY = {
    "views": {"bank": 16},
    "training": {"epochs": 100},
    "refinement": {"judge": ["soft_patch"]},  # any threshold suits one judge
}

# Where work is done and kept, how extraction is cut up, and what no run reads: these change no result.
INERT = (
    "device",
    "data_root",
    "cell",
    "grid",
    "lineage.",
    "refinement.checkpoint_every",
    "training.processes",
    "features.batch_views",
    "features.shard_images",
    "calibration.",
    "reporting.",
)
# Of two kinds, or of a form of its own.
FREE = {"device": "cpu", "features.batch_views": 7}
# Read from a file, whose contents count: tests/datasets/test_review_file.py
FILES = {"refinement.review"}


def flatten(group: BaseModel, prefix: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield (dotted key, value, annotation) of every parameter."""
    for name, field in type(group).model_fields.items():
        value = getattr(group, name)
        if isinstance(value, BaseModel):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value, field.annotation


def changed(key: str, value: Any, annotation: Any) -> Any:
    """Return another valid value for a parameter."""
    if key in FREE:
        return FREE[key]
    if isinstance(value, bool):
        return not value
    if get_origin(annotation) is Literal:
        return next(option for option in get_args(annotation) if option != value)
    if isinstance(value, str):
        return f"{value}x"
    if isinstance(value, tuple):
        return value[:1] if len(value) > 1 else value * 2
    return value + 1 if isinstance(value, int) else value * 0.9


def with_value(key: str, value: Any) -> Parameters:
    """Return the roomy parameters with one dotted key set."""
    group, _, name = key.rpartition(".")
    raw = {**ROOMY, group: {**ROOMY.get(group, {}), name: value}} if group else {**ROOMY, name: value}
    return check_parameters(raw)


ROOMY_PARAMETERS = check_parameters(ROOMY)
LEAVES = {key: changed(key, value, annotation) for key, value, annotation in flatten(ROOMY_PARAMETERS)}
INERT_KEYS = sorted(key for key in LEAVES if key.startswith(INERT))


@pytest.mark.parametrize("key", sorted(LEAVES.keys() - set(INERT_KEYS) - FILES))
def test_the_digest_changes_with_every_parameter_that_can_change_a_result(key: str) -> None:
    assert result_digest(with_value(key, LEAVES[key])) != result_digest(ROOMY_PARAMETERS)


@pytest.mark.parametrize("key", INERT_KEYS)
def test_the_digest_ignores_where_and_in_what_pieces_the_work_is_done(key: str) -> None:
    assert with_value(key, LEAVES[key]) != ROOMY_PARAMETERS
    assert result_digest(with_value(key, LEAVES[key])) == result_digest(ROOMY_PARAMETERS)


def test_the_digest_is_eight_hex_digits() -> None:
    assert re.fullmatch("[0-9a-f]{8}", result_digest(Parameters()))


def test_the_digest_ignores_the_samples_parameters_where_the_images_are_not_the_samples() -> None:
    other = {"dataset": {"name": "ksdd2"}}
    more = {**other, "sample": {"defective": 7}}
    assert result_digest(check_parameters(other)) == result_digest(check_parameters(more))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"contamination": {"level": 0}}, {"contamination": {"level": 0.0}}),
        ({"features": {"scales": [1, 0.5]}}, {"features": {"scales": (1.0, 0.5)}}),
        ({"dataset": {"path": "images/"}}, {"dataset": {"path": "images"}}),
        ({"refinement": {"judge": "gaussian"}}, {"refinement": {"judge": ["gaussian"]}}),
        (
            {"refinement": {"judge": "soft_patch + gaussian"}},
            {"refinement": {"judge": ["soft_patch", "gaussian"]}},
        ),
        ({"refinement": {"judge": ""}}, {"refinement": {"judge": []}}),
        ({}, Parameters().model_dump(mode="json")),
    ],
)
def test_two_spellings_of_the_same_parameters_have_one_digest(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert result_digest(check_parameters(one)) == result_digest(check_parameters(other))


def test_a_cell_name_reads_as_its_experiment_and_ends_in_the_digest() -> None:
    parameters = check_parameters(
        {
            "dataset": {"name": "mvtec_ad", "product_class": "pill"},
            "contamination": {"level": 0.1},
            "detector": "gaussian",
            "seed": 3,
        }
    )
    expected = f"mvtec_ad-pill-level0.1-gaussian-seed3-{result_digest(parameters)}"
    assert cell_name(parameters) == expected


def test_seeds_of_one_experiment_have_cells_of_their_own() -> None:
    assert len({cell_name(check_parameters({"seed": seed})) for seed in range(5)}) == 5


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/line 3/castings", "castings"),
        ("castings/", "castings"),
        ("line 3/left & right, 2026", "left_right_2026"),
        ("/images/Gehäuse", "Gehäuse"),
        ("../.hidden folder.", "hidden_folder"),
        ("/images/" + "long name " * 9, "long_name_long_name_long_name_lo"),
    ],
)
def test_a_folder_of_ones_own_names_its_cell(path: str, kind: str) -> None:
    parameters = check_parameters({"dataset": {"name": "image_folder", "path": path}})
    assert cell_name(parameters).startswith(f"image_folder-{kind}-level0.2-")


def test_a_class_names_the_cell_rather_than_the_folder() -> None:
    dataset = {"name": "image_folder", "path": "/images/line3", "product_class": "nut"}
    assert cell_name(check_parameters({"dataset": dataset})).startswith("image_folder-nut-level0.2-")


def test_where_a_public_set_lies_is_no_part_of_its_cells_name() -> None:
    named = cell_name(check_parameters({"dataset": {"name": "ksdd2", "path": "/images/copy"}}))
    assert named.startswith("ksdd2-level0.2-")


@pytest.mark.parametrize("path", ["..", "~", "/", "."])
def test_a_folder_whose_path_ends_in_no_name_gives_none(path: str) -> None:
    named = cell_name(check_parameters({"dataset": {"name": "image_folder", "path": path}}))
    assert named.startswith("image_folder-level0.2-")


@given(path=st.text(min_size=1))
@example(path="陶" * 200)
def test_a_cell_name_is_one_part_of_a_path_whatever_the_folder_is_called(path: str) -> None:
    name = cell_name(check_parameters({"dataset": {"name": "image_folder", "path": path}}))
    assert re.fullmatch(r"[\w.-]+", name)
    assert len(name.encode()) <= 255
