from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irp_kedro.errors import GridError, ParameterError
from irp_kedro.grid.cells import GridCell, expand
from irp_kedro.grid.plan import read_plan
from irp_kedro.naming import result_digest
from irp_kedro.parameters import Parameters, check_parameters

PROJECT = Path(__file__).parents[2]
CellsOf = Callable[..., list[GridCell]]

SETS = {
    "pill": {"dataset.name": "mvtec_ad", "dataset.product_class": "pill"},
    "mine": {"dataset.name": "image_folder", "dataset.path": "/mine", "preparation.crop": "centre"},
}
levels = st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.5]), min_size=1, max_size=3, unique=True)
sizes = st.lists(st.sampled_from([32, 64, 96]), min_size=1, max_size=3, unique=True)
seeds = st.lists(st.integers(0, 5), min_size=1, max_size=3, unique=True)


@settings(max_examples=20, deadline=None)
@given(levels, sizes, seeds)
def test_a_grid_has_every_combination_once_and_the_first_seed_of_everything_first(
    cells_of: CellsOf, levels: list[float], sizes: list[int], seeds: list[int]
) -> None:
    cells = cells_of(axes={"contamination.level": levels, "preparation.size": sizes}, seeds=seeds)
    found = [
        (cell.parameters.seed, cell.parameters.contamination.level, cell.parameters.preparation.size)
        for cell in cells
    ]
    assert found == [(seed, level, size) for seed in seeds for level in levels for size in sizes]
    assert len({cell.digest for cell in cells}) == len(cells)


@settings(max_examples=20, deadline=None)
@given(levels, seeds)
def test_a_cell_s_digest_is_that_of_a_run_with_its_overrides(
    cells_of: CellsOf, levels: list[float], seeds: list[int]
) -> None:
    for cell in cells_of({"training": {"epochs": 30}}, axes={"contamination.level": levels}, seeds=seeds):
        assert cell.overrides == {
            "training": {"epochs": 30},
            "seed": cell.parameters.seed,
            "contamination": {"level": cell.parameters.contamination.level},
        }
        alone = check_parameters(dict(cell.overrides))
        assert (cell.digest, cell.parameters) == (result_digest(alone), alone)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from([0.0, 0.1, 0.2]), min_size=1, max_size=5))
def test_what_is_asked_for_twice_is_run_once(cells_of: CellsOf, levels: list[float]) -> None:
    cells = cells_of(axes={"contamination.level": levels}, include=[{"contamination.level": 0.1}])
    assert [cell.parameters.contamination.level for cell in cells] == list(dict.fromkeys([*levels, 0.1]))


def test_labels_stand_for_groups_of_parameters(cells_of: CellsOf) -> None:
    first, second = cells_of(axes={"set": SETS})
    assert (first.set, second.set) == ("pill", "mine")
    assert first.parameters.dataset.product_class == "pill"
    assert (second.parameters.dataset.path, second.parameters.preparation.crop) == ("/mine", "centre")
    assert second.labels == {"seed": "0", "set": "mine"}


def test_a_variant_is_what_no_column_of_a_table_tells(cells_of: CellsOf) -> None:
    axes = {
        "set": SETS,
        "contaminated": {"a": {"contamination.level": 0.1, "contamination.on_shortage": "cap"}},
        "detector": ["gaussian"],
        "training.epochs": [30],
        "method": {"a": {"refinement.patience": 3}, "b": {"refinement.patience": 4}},
    }
    assert {cell.variant for cell in cells_of(axes=axes)} == {
        "training.epochs=30, method=a",
        "training.epochs=30, method=b",
    }


def test_cells_that_differ_in_set_level_and_seed_alone_have_one_variant(cells_of: CellsOf) -> None:
    cells = cells_of(axes={"set": SETS, "contamination.level": [0.0, 0.1]}, seeds=[0, 1])
    assert {cell.variant for cell in cells} == {"-"}


def test_a_set_without_an_axis_is_called_after_its_class_or_source(cells_of: CellsOf) -> None:
    assert cells_of()[0].set == "sample"
    (cell,) = cells_of({"dataset": {"name": "mvtec_ad", "product_class": "screw"}})
    assert cell.set == "screw"


def test_an_excluded_combination_must_agree_in_everything_that_is_named(cells_of: CellsOf) -> None:
    cells = cells_of(
        axes={"set": SETS, "contamination.level": [0.0, 0.1, 0.2]},
        seeds=[0, 1],
        exclude=[{"set": "pill", "contamination.level": [0.1, 0.2]}, {"seed": 1, "set": "mine"}],
    )
    found = [(cell.parameters.seed, cell.set, cell.parameters.contamination.level) for cell in cells]
    assert found == [
        (0, "pill", 0.0),
        (0, "mine", 0.0),
        (0, "mine", 0.1),
        (0, "mine", 0.2),
        (1, "pill", 0.0),
    ]


def test_exclude_may_name_a_parameter_that_is_no_axis(cells_of: CellsOf) -> None:
    cells = cells_of(axes={"set": SETS}, exclude=[{"preparation.crop": "centre"}])
    assert [cell.set for cell in cells] == ["pill"]


def test_include_names_labels_and_parameters_and_runs_with_every_seed(cells_of: CellsOf) -> None:
    cells = cells_of(axes={"set": SETS}, seeds=[0, 1], include=[{"set": "pill", "contamination.level": 0.5}])
    extra = [cell for cell in cells if cell.parameters.contamination.level == 0.5]
    assert [(cell.set, cell.parameters.seed) for cell in extra] == [("pill", 0), ("pill", 1)]


def test_cells_may_be_listed_one_by_one(cells_of: CellsOf) -> None:
    cells = cells_of(include=[{"contamination.level": 0.1}, {"detector": "gaussian"}])
    assert [(c.parameters.contamination.level, c.parameters.detector) for c in cells] == [
        (0.1, "differnet"),
        (0.2, "gaussian"),
    ]


def test_parameters_of_the_command_come_last(cells_of: CellsOf) -> None:
    (cell,) = cells_of({"training": {"epochs": 40}})
    assert cell.parameters.training.epochs == 40


@pytest.mark.parametrize(
    ("params", "asked", "message"),
    [
        ({"contamination": {"level": 0.1}}, {"axes": {"contamination.level": [0.2]}}, "which axis"),
        ({"dataset": {"name": "sample"}}, {"axes": {"set": SETS}}, "which axis 'set'"),
        ({"views": {"bank": 9}}, {"axes": {"many": {"a": {"views": {"bank": 10}}}}}, "which axis 'many'"),
        ({"cell": "one"}, {}, "one folder"),
        ({}, {"params": {"cell": "one"}}, "one folder"),
        ({}, {"axes": {"device": ["cpu", "cuda"]}}, "changes no result"),
        ({}, {"axes": {"place": {"a": {"lineage.mode": "plain"}}}}, "changes no result"),
        ({}, {"exclude": [{"seed": 0}]}, "has no cell"),
        ({}, {"exclude": [{"lavel": 0}]}, "neither an axis nor a parameter"),
        ({}, {"axes": {"set": SETS}, "include": [{"set": "pil"}]}, "Axis 'set' has no 'pil'"),
    ],
)
def test_what_makes_no_grid_is_refused(
    cells_of: CellsOf, params: dict[str, Any], asked: dict[str, Any], message: str
) -> None:
    with pytest.raises(GridError, match=message):
        cells_of(params, **asked)


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"contamination.levl": [0.1]}, "(?s)Cell with seed 0, contamination.levl 0.1: .*did you mean 'level'"),
        ({"detector": ["difernet"]}, "did you mean 'differnet'"),
        ({"contamination.level": [0.7]}, "contamination.level = 0.7"),
    ],
)
def test_parameters_that_no_run_would_accept_are_refused_before_anything_runs(
    cells_of: CellsOf, axes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ParameterError, match=message):
        cells_of(axes=axes)


def test_levels_seeds_and_methods_share_a_bank_and_sets_do_not(cells_of: CellsOf) -> None:
    one = cells_of(axes={"contamination.level": [0.0, 0.3], "training.epochs": [24, 30]}, seeds=[0, 1])
    assert len({cell.banks for cell in one}) == 1
    assert len({cell.banks for cell in cells_of(axes={"set": SETS})}) == 2
    for key, values in {"views.bank": [8, 9], "preparation.align": ["auto", "never"]}.items():
        assert len({cell.banks for cell in cells_of(axes={key: values})}) == 2


def test_patches_are_a_bank_of_their_own_beside_the_one_that_all_share(cells_of: CellsOf) -> None:
    plain, patches = cells_of(axes={"refinement.judge": [["gaussian"], ["patch_memory"]]})
    assert (len(plain.banks), len(patches.banks)) == (1, 2)
    assert plain.banks[0] == patches.banks[0]


def test_patches_of_other_turns_are_other_features(cells_of: CellsOf) -> None:
    upright, turned = cells_of(axes={"patches.turns": [1, 4]})
    assert upright.banks[0] == turned.banks[0]
    assert upright.banks[1] != turned.banks[1]


def test_finer_patches_lie_beside_the_coarse_ones_that_cells_share(cells_of: CellsOf) -> None:
    judges = [["patch_memory", "gaussian"], ["patch_memory", "fine_patch_memory", "gaussian"]]
    coarse, fine = cells_of(axes={"refinement.judge": judges})
    assert fine.banks[:2] == coarse.banks
    assert len(fine.banks) == 3


def test_the_study_of_recovery_is_a_grid(base: dict[str, Any]) -> None:
    plan = read_plan(PROJECT / "studies" / "recovery" / "grid.yml", {"images": "/disk"})
    cells = expand(plan, base, {})
    # 4 sets, 5 contaminations; 2 methods with three seeds, 8 rivals with the first one
    assert len(cells) == 4 * 5 * (2 * 3 + 8)
    methods = {cell.labels["method"] for cell in cells if cell.parameters.seed == 1}
    assert methods == {"base", "paper"}


def test_the_paper_s_grid_has_two_hundred_and_ten_cells_and_seven_banks(base: dict[str, Any]) -> None:
    plan = read_plan(PROJECT / "conf" / "base" / "grid_paper.yml", {})
    cells = expand(plan, base, {})
    assert len(cells) == 7 * 6 * 5
    assert len({cell.banks for cell in cells}) == 7
    wanted = {(cell.parameters.evaluation.maps, cell.parameters.evaluation.threshold_scores) for cell in cells}
    assert wanted == {("none", "in_sample")}


def test_the_base_of_a_grid_is_left_as_it_was(cells_of: CellsOf, base: dict[str, Any]) -> None:
    cells_of(axes={"contamination.level": [0.5]})
    assert base == Parameters().model_dump(mode="json")
