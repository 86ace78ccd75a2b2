from collections.abc import Sequence

import pandas as pd
import pytest

from irp_kedro.reporting.grid_tables import (
    auroc_over_seeds,
    compare_with_paper,
    removals_over_seeds,
    spread_over_classes,
)
from irp_kedro.reporting.paper import FILE, MEAN, paper_results

CLASSES = ("cable", "capsule", "metal_nut", "pill", "screw", "zipper")


def cells(
    sets: Sequence[str] = ("pill", "screw"),
    *,
    levels: Sequence[float] = (0.1,),
    seeds: Sequence[int] = (0, 1),
    variant: str = "-",
    dataset: str = "mvtec_ad",
) -> pd.DataFrame:
    """AUROC is .6 for the first set, .1 more for each further one, .02 more with each seed; refined .1 more."""
    rows = [
        {
            "set": name,
            "variant": variant,
            "cell": f"{name}-{level}-{seed}",
            "dataset": dataset,
            "product_class": name,
            "level": level,
            "definition": "pool_fraction",
            "detector": "differnet",
            "seed": seed,
            "setting": f"{name}-{level}-{variant}",
            "configuration": "c",
            "strategy": strategy,
            "image_auroc": 0.6 + 0.1 * place + 0.02 * seed + 0.1 * (strategy == "iterative_refinement"),
            "good_removed": None if strategy == "oracle" else place,
            "bad_removed": None if strategy == "oracle" else 10 * place + 2 * seed,
        }
        for place, name in enumerate(sets)
        for level in levels
        for seed in seeds
        for strategy in ("oracle", "iterative_refinement", "vanilla")
    ]
    return pd.DataFrame(rows)


def all_of_the_paper() -> pd.DataFrame:
    return pd.read_csv(FILE, comment="#", keep_default_na=False, na_values={"good": "", "bad": ""})


def test_table_1_has_means_and_spread_over_seeds_in_the_order_of_the_grid() -> None:
    table = auroc_over_seeds(cells(("screw", "pill"), levels=(0.3, 0.0)))
    assert list(table["set"].unique()) == ["screw", "pill"]
    first = table[table["set"] == "screw"]
    assert list(first["level"].unique()) == [0.0, 0.3]
    assert list(first["strategy"])[:3] == ["vanilla", "iterative_refinement", "oracle"]
    row = first.iloc[0]
    assert (row["auroc"], row["auroc_seed_std"], row["cells"]) == (
        pytest.approx(0.61),
        pytest.approx(0.02 / 2**0.5),
        2,
    )


def test_variants_are_never_averaged() -> None:
    both = pd.concat([cells(variant="method=a"), cells(variant="method=b")])
    table = auroc_over_seeds(both)
    assert len(table) == 2 * 2 * 3
    assert set(table["cells"]) == {2}
    assert list(table["variant"].unique()) == ["method=a", "method=b"]


def test_table_2_is_of_strategies_that_remove() -> None:
    table = removals_over_seeds(cells())
    assert set(table["strategy"]) == {"iterative_refinement"}
    assert list(table["bad"]) == [1.0, 11.0]


def test_spread_over_classes_stands_apart_from_spread_over_seeds() -> None:
    table = spread_over_classes(cells())
    row = table[table["strategy"] == "vanilla"].iloc[0]
    # Classes .61 and .71; seeds .65 and .67, each a mean over both classes.
    assert row["auroc"] == pytest.approx(0.66)
    assert row["auroc_class_std"] == pytest.approx(0.1 / 2**0.5)
    assert row["auroc_seed_std"] == pytest.approx(0.02 / 2**0.5)
    assert (row["classes"], row["seeds"]) == (2, 2)


@pytest.mark.parametrize("lacking", [{"seed": 1}, {"seed": 0, "set": "screw"}, {"set": "pill"}])
def test_where_a_class_lacks_a_cell_no_mean_over_classes_is_stated(lacking: dict[str, object]) -> None:
    whole = cells(levels=(0.1, 0.3))
    gone = (whole[list(lacking)] == pd.Series(lacking)).all(axis=1) & (whole["level"] == 0.3)
    levels = spread_over_classes(whole[~gone])["level"]
    # A seed that all classes lack leaves a mean over the other one.
    assert set(levels) == ({0.1, 0.3} if lacking == {"seed": 1} else {0.1})


def test_our_sets_stand_beside_the_paper_s_of_the_same_name_and_level() -> None:
    ours = cells(("pill", "ksdd2", "bottle"), levels=(0.1, 0.15))
    table = compare_with_paper(auroc_over_seeds(ours), removals_over_seeds(ours), all_of_the_paper())
    assert list(zip(table["set"], table["level"], strict=True)) == [("pill", 0.1), ("ksdd2", 0.1)]
    pill = table.iloc[0]
    assert (pill["auroc"], pill["paper_auroc"]) == (pytest.approx(0.71), 0.858)
    assert (pill["good"], pill["paper_good"], pill["bad"], pill["paper_bad"]) == (0, 9, 1, 8)
    assert pill["seeds"] == 2


def test_a_set_of_ours_in_the_paper_s_layout_but_called_otherwise_has_no_row() -> None:
    ours = cells(("kolektor",), dataset="ksdd2").assign(product_class="")
    table = compare_with_paper(auroc_over_seeds(ours), removals_over_seeds(ours), all_of_the_paper())
    assert table.empty


def test_a_level_that_is_defined_otherwise_is_not_the_paper_s() -> None:
    ours = cells().assign(definition="added_fraction")
    assert compare_with_paper(auroc_over_seeds(ours), removals_over_seeds(ours), all_of_the_paper()).empty


@pytest.mark.parametrize(("classes", "compared"), [(CLASSES, True), (CLASSES[:-1], False)])
def test_the_paper_s_mean_is_compared_only_where_all_its_classes_were_run(
    classes: tuple[str, ...], compared: bool
) -> None:
    ours = cells(classes)
    table = compare_with_paper(auroc_over_seeds(ours), removals_over_seeds(ours), all_of_the_paper())
    mean = table[table["set"] == MEAN]
    assert bool(len(mean)) is compared
    if compared:
        assert mean["auroc"].iloc[0] == pytest.approx(table[table["set"] != MEAN]["auroc"].mean())
        assert mean["paper_auroc"].iloc[0] == 0.8615


def test_the_paper_s_means_are_those_of_its_classes() -> None:
    whole = all_of_the_paper()
    sets = paper_results()
    for level, mean in whole[whole["product_class"] == MEAN][["level", "auroc"]].itertuples(index=False):
        classes = sets[(sets["level"] == level) & (sets["dataset"] == "mvtec_ad")]["auroc"]
        assert classes.mean() == pytest.approx(mean, abs=1e-4)


def test_the_paper_s_error_magnitude_is_a_spread_over_classes_at_every_level_but_one() -> None:
    whole = all_of_the_paper()
    means = whole[whole["product_class"] == MEAN]
    agrees = {}
    for row in means.itertuples():
        classes = whole[(whole["level"] == row.level) & (whole["dataset"] == "mvtec_ad")]["auroc"]
        agrees[row.level] = abs(classes.std(ddof=0) - float(row.error_magnitude)) < 1e-4
    assert agrees == {0.0: True, 0.1: True, 0.2: True, 0.3: True, 0.4: False, 0.5: True}


def test_the_paper_removes_ninety_eight_good_images_from_clean_sets() -> None:
    clean = paper_results().query("level == 0")
    assert (clean["good"].sum(), clean["bad"].sum()) == (98, 0)
