import re
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from irp_kedro.errors import ParameterError
from irp_kedro.parameters import Parameters, check_parameters


def with_value(key: str, value: Any) -> Parameters:
    """Return the default parameters with one dotted key set."""
    group, _, name = key.rpartition(".")
    return check_parameters({group: {name: value}} if group else {name: value})


def fault_of(**raw: Any) -> str:
    with pytest.raises(ParameterError) as caught:
        check_parameters(raw)
    return str(caught.value)


def test_no_parameters_at_all_are_the_defaults() -> None:
    assert check_parameters({}) == Parameters()


def test_a_merged_tree_comes_back_as_it_went_in() -> None:
    tree = Parameters().model_dump(mode="json")
    assert check_parameters(tree).model_dump(mode="json") == tree


@pytest.mark.parametrize("value", [0, 1.5, "automatic"])
def test_a_number_of_views_that_is_none_is_one_fault(value: Any) -> None:
    assert fault_of(features={"batch_views": value}).endswith(
        f"features.batch_views = {value!r}: should be auto, or a whole number of at least 1"
    )


@pytest.mark.parametrize(
    ("raw", "hint"),
    [
        ({"datset": {"name": "sample"}}, "datset is no parameter; did you mean 'dataset'?"),
        ({"sed": 1}, "sed is no parameter; did you mean 'seed'?"),
        (
            {"refinement": {"treshold_factor": 2.0}},
            "refinement.treshold_factor is no parameter; in 'refinement': did you mean 'threshold_factor'?",
        ),
        (
            {"views": {"trian": 2}},
            "views.trian is no parameter; in 'views': did you mean 'train'?",
        ),
    ],
)
def test_an_unknown_key_at_any_depth_names_the_nearest(raw: dict[str, Any], hint: str) -> None:
    assert hint in fault_of(**raw)


def test_an_unknown_key_near_nothing_names_all_that_are_known() -> None:
    message = fault_of(views={"qqqqqq": 1})
    assert "in 'views': known: 'bank', 'score', 'train'" in message


@pytest.mark.parametrize(
    ("raw", "key"),
    [
        ({"training": {"epochs": "many"}}, "training.epochs = 'many'"),
        ({"seed": 1.5}, "seed = 1.5"),
        ({"seed": None}, "seed = None"),
        ({"contamination": {"level": "high"}}, "contamination.level = 'high'"),
        ({"contamination": {"definition": "share"}}, "contamination.definition = 'share'"),
        ({"dataset": {"product_class": 3}}, "dataset.product_class = 3"),
        ({"features": {"scales": 1.0}}, "features.scales = 1.0"),
        ({"features": {"scales": [1.0, "half"]}}, "features.scales.1 = 'half'"),
        ({"views": 8}, "views = 8"),
    ],
)
def test_a_value_of_the_wrong_type_is_named_with_its_key(raw: dict[str, Any], key: str) -> None:
    assert key in fault_of(**raw)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("contamination.level", -0.1),
        ("contamination.level", 0.51),
        ("contamination.split_seed", -1),
        ("sample.size", 31),
        ("preparation.size", 2049),
        ("features.scales", []),
        ("features.scales", [0.0]),
        ("features.scales", [1.5]),
        ("flow.clamp", 0.0),
        ("training.learning_rate", 0.0),
        ("training.weight_decay", -1e-5),
        ("patches.size", 31),
        ("patches.levels", 0),
        ("patches.levels", 4),
        ("patches.per_image", 0),
        ("patches.neighbours", 0.0),
        ("patches.neighbours", 1.0),
        ("patches.worst", 0.0),
        ("patches.references", 1),
        ("refinement.threshold_factor", 1.0),
        ("refinement.false_discovery_rate", 0.0),
        ("refinement.false_discovery_rate", 1.0),
        ("refinement.tail_factor", 0.0),
        ("refinement.alone_factor", 0.9),
        ("refinement.reference", 0.0),
        ("refinement.reference", 1.1),
        ("refinement.judge_epochs", 0),
        ("refinement.pretrain_epochs", -1),
        ("refinement.epochs_per_cycle", -1),
        ("refinement.max_removed_per_cycle", 0.0),
        ("refinement.max_removed_fraction", 1.1),
        ("refinement.folds", 1),
        ("refinement.folds", 21),
        ("refinement.patience", 0),
        ("refinement.max_cycles", -1),
        ("evaluation.false_alarm_rate", 1.0),
        ("evaluation.bootstrap_samples", -1),
        ("device", "gpu"),
        ("device", "cuda:"),
        ("seed", -1),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_key(key: str, value: Any) -> None:
    with pytest.raises(ParameterError, match=re.escape(key)):
        with_value(key, value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("contamination.level", 0.0),
        ("contamination.level", 0.5),
        ("refinement.max_cycles", 0),
        ("refinement.max_removed_fraction", 0.0),
        ("refinement.max_removed_fraction", 1.0),
        ("patches.worst", 1.0),
        ("refinement.reference", 1.0),
        ("refinement.alone_factor", 1.0),
        ("refinement.alone", ""),
        ("refinement.pretrain_epochs", 0),
        ("refinement.epochs_per_cycle", 0),
        ("refinement.judge", ""),
        ("evaluation.bootstrap_samples", 0),
        ("device", "cuda:1"),
        ("features.scales", [0.25]),
    ],
)
def test_a_value_at_the_edge_of_its_range_is_taken(key: str, value: Any) -> None:
    assert with_value(key, value)


@pytest.mark.parametrize("name", ["train", "score"])
def test_no_more_views_are_drawn_than_the_bank_holds(name: str) -> None:
    assert f"views.{name} is 9, but views.bank holds only 8" in fault_of(views={"bank": 8, name: 9})


def test_a_loop_longer_than_the_budget_is_refused_with_both_numbers() -> None:
    message = fault_of(
        training={"epochs": 10}, refinement={"pretrain_epochs": 5, "max_cycles": 3, "epochs_per_cycle": 2}
    )
    assert "is 11, above training.epochs = 10" in message


def test_a_loop_that_fills_the_budget_is_taken() -> None:
    loop = {"pretrain_epochs": 4, "max_cycles": 3, "epochs_per_cycle": 2}
    assert check_parameters({"training": {"epochs": 10}, "refinement": loop}).training.epochs == 10


@pytest.mark.parametrize("judge", [[], ["gaussian"], ["gaussian", "gaussian"]])
def test_a_detector_that_judges_what_it_has_seen_needs_epochs_before_it(judge: list[str]) -> None:
    loop = {"scoring": "in_sample", "judge": judge, "pretrain_epochs": 0}
    assert "refinement.pretrain_epochs is 0" in fault_of(detector="gaussian", refinement=loop)
    for harmless in (
        {"pretrain_epochs": 1},
        {"max_cycles": 0},
        {"scoring": "held_out"},
        {"judge": "differnet"},
    ):
        assert check_parameters({"detector": "gaussian", "refinement": {**loop, **harmless}})


def test_all_faults_come_in_one_message() -> None:
    message = fault_of(sed=1, seed=-1, views={"bank": 0}, contamination={"level": 2})
    assert message.splitlines()[0] == "4 faults in the parameters:"
    assert all(
        key in message for key in ("sed is no", "seed = -1", "views.bank = 0", "contamination.level = 2")
    )


def groups_of(group: BaseModel) -> Iterator[BaseModel]:
    """Yield a group of parameters and every group in it."""
    yield group
    for name in type(group).model_fields:
        if isinstance(value := getattr(group, name), BaseModel):
            yield from groups_of(value)


@pytest.mark.parametrize("group", groups_of(Parameters()), ids=lambda group: type(group).__name__)
def test_parameters_do_not_change_once_made(group: BaseModel) -> None:
    for name in type(group).model_fields:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(group, name, getattr(group, name))


@pytest.mark.parametrize("key", ["dataset.path", "dataset.product_class", "cell"])
def test_a_text_left_empty_on_the_command_line_is_the_empty_text(key: str) -> None:
    *group, name = key.split(".")
    raw: dict[str, Any] = {name: None}  # what Kedro makes of `--params key=`
    checked: Any = check_parameters({group[0]: raw} if group else raw)
    assert getattr(getattr(checked, group[0]) if group else checked, name) == ""


@pytest.mark.parametrize("empty", [None, "", []])  # None: what Kedro makes of `--params refinement.judge=`
def test_no_judge_named_is_no_judge_at_all(empty: Any) -> None:
    assert check_parameters({"refinement": {"judge": empty}}).refinement.judge == ()
