from typing import Any

import pandas as pd
import pytest

from irp_kedro.parameters import Parameters, check_parameters
from irp_kedro.reporting.sets import identified, set_digest, set_name, told_apart


def asked(**dataset: Any) -> Parameters:
    return check_parameters({"dataset": dataset})


@pytest.mark.parametrize(
    ("dataset", "name"),
    [
        ({"name": "sample"}, "sample"),
        ({"name": "mvtec_ad", "product_class": "pill"}, "pill"),
        ({"name": "mvtec_ad", "product_class": "pill", "path": "/copies/mvtec"}, "pill"),
        ({"name": "image_folder", "path": "/lines/3/bolts/"}, "bolts"),
        ({"name": "image_folder", "path": "/lines/3/v1.2"}, "v1.2"),
        ({"name": "ksdd2"}, "ksdd2"),
        ({"name": "ksdd2", "path": "/images/KolektorSDD2.zip"}, "ksdd2"),
        ({"name": "ksdd2", "path": "/images/ksdd2"}, "ksdd2"),
        # The first Kolektor set in the second one's layout is not the paper's.
        ({"name": "ksdd2", "path": "/images/kolektorsdd_in_ksdd2_layout"}, "kolektorsdd_in_ksdd2_layout"),
    ],
)
def test_a_set_is_called_by_its_class_the_last_part_of_its_path_or_its_source(
    dataset: dict[str, str], name: str
) -> None:
    assert set_name(asked(**dataset)) == name


def test_a_set_is_its_images_whatever_is_done_to_them() -> None:
    digests = {
        set_digest(check_parameters(raw))
        for raw in ({}, {"seed": 3}, {"contamination": {"level": 0.4}}, {"detector": "gaussian"})
    }
    assert len(digests) == 1


def test_other_images_are_another_set() -> None:
    sets = [
        check_parameters({"sample": {"normal_train": 50}}),
        asked(),
        asked(name="image_folder", path="/a/images"),
        asked(name="image_folder", path="/b/images"),
    ]
    assert len({set_digest(parameters) for parameters in sets}) == len(sets)


def test_sets_of_one_name_are_told_apart_and_others_left_as_they_are() -> None:
    names, digests = pd.Series(["a", "a", "b", "b", "level"]), pd.Series(["1", "2", "3", "3", "4"])
    told = told_apart(names, digests, taken=frozenset({"level"}))
    assert told.tolist() == ["a (1)", "a (2)", "b", "b", "level (4)"]


def test_a_cell_of_an_earlier_version_says_that_its_images_are_not_known() -> None:
    cells = pd.DataFrame({"dataset": ["ksdd2", "mvtec_ad"], "product_class": [None, "pill"]})
    table = identified(cells)
    assert table["set_name"].tolist() == ["ksdd2 (earlier version)", "pill"]
    assert table["configuration"].tolist() == table["set_digest"].tolist() == ["", ""]
