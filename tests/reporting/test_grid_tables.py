from collections.abc import Sequence

import pandas as pd
import pytest

from irp_kedro.reporting.grid_tables import (
    auroc_over_seeds,
    compare_with_paper,
    named_apart,
    recovery_over_seeds,
    removals_over_seeds,
    spread_over_classes,
)
from irp_kedro.reporting.paper import MEAN, papers_sets

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
            "set_name": name,
            "set_digest": f"digest of {name}",
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


def test_our_sets_stand_beside_the_paper_s_of_the_same_name_and_level(paper_results: pd.DataFrame) -> None:
    ours = cells(("pill", "ksdd2", "bottle"), levels=(0.1, 0.15))
    table = compare_with_paper(auroc_over_seeds(ours), removals_over_seeds(ours), paper_results)
    assert list(zip(table["set"], table["level"], strict=True)) == [("pill", 0.1), ("ksdd2", 0.1)]
    pill = table.iloc[0]
    assert (pill["auroc"], pill["paper_auroc"]) == (pytest.approx(0.71), 0.858)
    assert (pill["good"], pill["paper_good"], pill["bad"], pill["paper_bad"]) == (0, 9, 1, 8)
    assert pill["seeds"] == 2


def test_a_set_of_ours_in_the_paper_s_layout_but_called_otherwise_has_no_row(
    paper_results: pd.DataFrame,
) -> None:
    ours = cells(("kolektor",), dataset="ksdd2").assign(product_class="")
    table = compare_with_paper(auroc_over_seeds(ours), removals_over_seeds(ours), paper_results)
    assert table.empty


def test_a_level_that_is_defined_otherwise_is_not_the_paper_s(paper_results: pd.DataFrame) -> None:
    ours = cells().assign(definition="added_fraction")
    assert compare_with_paper(auroc_over_seeds(ours), removals_over_seeds(ours), paper_results).empty


@pytest.mark.parametrize(("classes", "compared"), [(CLASSES, True), (CLASSES[:-1], False)])
def test_the_paper_s_mean_is_compared_only_where_all_its_classes_were_run(
    classes: tuple[str, ...], compared: bool, paper_results: pd.DataFrame
) -> None:
    ours = cells(classes)
    table = compare_with_paper(auroc_over_seeds(ours), removals_over_seeds(ours), paper_results)
    mean = table[table["set"] == MEAN]
    assert bool(len(mean)) is compared
    if compared:
        assert mean["auroc"].iloc[0] == pytest.approx(table[table["set"] != MEAN]["auroc"].mean())
        assert mean["paper_auroc"].iloc[0] == 0.8615


def test_the_paper_s_means_are_those_of_its_classes(paper_results: pd.DataFrame) -> None:
    whole, sets = paper_results, papers_sets(paper_results)
    for level, mean in whole[whole["product_class"] == MEAN][["level", "auroc"]].itertuples(index=False):
        classes = sets[(sets["level"] == level) & (sets["set_name"] != "ksdd2")]["auroc"]
        assert classes.mean() == pytest.approx(mean, abs=1e-4)


def test_the_paper_s_error_magnitude_is_a_spread_over_classes_at_every_level_but_one(
    paper_results: pd.DataFrame,
) -> None:
    whole = paper_results
    means = whole[whole["product_class"] == MEAN]
    agrees = {}
    for row in means.itertuples():
        classes = whole[(whole["level"] == row.level) & (whole["dataset"] == "mvtec_ad")]["auroc"]
        agrees[row.level] = abs(classes.std(ddof=0) - float(row.error_magnitude)) < 1e-4
    assert agrees == {0.0: True, 0.1: True, 0.2: True, 0.3: True, 0.4: False, 0.5: True}


def test_the_paper_removes_ninety_eight_good_images_from_clean_sets(paper_results: pd.DataFrame) -> None:
    clean = paper_results.query("level == 0")
    assert (clean["good"].sum(), clean["bad"].sum()) == (98, 0)


def test_two_sets_that_a_grid_calls_alike_are_told_apart_within_a_variant() -> None:
    other = cells(("pill",)).assign(set_digest="another copy", setting="o")
    table = named_apart(pd.concat([cells(("pill", "screw")), other], ignore_index=True))
    assert set(table["set"]) == {"pill (digest of pill)", "pill (another copy)", "screw"}
    means = spread_over_classes(table)
    assert set(means["classes"]) == {3}
    variant = named_apart(
        pd.concat([cells(("pill",)), other.assign(variant="sample.size=32")], ignore_index=True)
    )
    assert set(variant["set"]) == {"pill"}


def test_recovery_is_told_by_set_and_variant() -> None:
    both = pd.concat([cells(("pill",), variant="method=a"), cells(("pill",), variant="method=b")])
    lifted = both.assign(image_auroc=both["image_auroc"] + 0.2 * (both["strategy"] == "oracle"))
    table = recovery_over_seeds(lifted)
    assert table[["set", "variant", "configuration", "cells"]].to_numpy().tolist() == [
        ["pill", "method=a", "c", 2],
        ["pill", "method=b", "c", 2],
    ]
    assert table["recovery"].tolist() == pytest.approx([0.5, 0.5])
