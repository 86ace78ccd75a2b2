import pandas as pd
import pytest

from irp_kedro.core.recovery import COLUMNS, recovery_by_contamination


def cells(*seeds: dict[str, float]) -> pd.DataFrame:
    rows = [
        {
            "dataset": "sample",
            "product_class": "",
            "set_name": "sample",
            "set_digest": "s",
            "definition": "pool_fraction",
            "detector": "differnet",
            "configuration": "c",
            "level": 0.2,
            "setting": "a",
            "seed": seed,
            "strategy": strategy,
            "image_auroc": auroc,
        }
        for seed, aurocs in enumerate(seeds)
        for strategy, auroc in aurocs.items()
    ]
    return pd.DataFrame(rows)


def test_half_of_a_clear_loss_won_back_is_a_recovery_of_one_half() -> None:
    table = recovery_by_contamination(
        cells(
            {"vanilla": 0.70, "iterative_refinement": 0.80, "oracle": 0.90},
            {"vanilla": 0.72, "iterative_refinement": 0.82, "oracle": 0.92},
        )
    )
    (row,) = table.to_dict("records")
    assert row["recovery"] == pytest.approx(0.5)
    assert row["gain"] == pytest.approx(0.1)
    assert (row["strategy"], row["cells"]) == ("iterative_refinement", 2)


def test_a_loss_within_twice_its_standard_error_has_no_ratio_but_a_difference() -> None:
    table = recovery_by_contamination(
        cells(
            {"vanilla": 0.90, "iterative_refinement": 0.91, "oracle": 0.89},
            {"vanilla": 0.80, "iterative_refinement": 0.83, "oracle": 0.90},
        )
    )
    assert table["recovery"].isna().all()
    assert table["gain"].tolist() == pytest.approx([0.02])


def test_one_seed_says_nothing_of_its_error() -> None:
    table = recovery_by_contamination(cells({"vanilla": 0.5, "iterative_refinement": 0.8, "oracle": 0.9}))
    assert table["recovery"].isna().all()
    assert table["lost_error"].isna().all()


def test_only_seeds_that_have_all_three_are_paired() -> None:
    table = recovery_by_contamination(
        cells(
            {"vanilla": 0.7, "iterative_refinement": 0.8, "oracle": 0.9},
            {"vanilla": 0.7, "iterative_refinement": 0.8, "oracle": 0.9},
            {"vanilla": 0.1, "oracle": 0.9},
        )
    )
    assert table["cells"].tolist() == [2]
    assert table["recovery"].tolist() == pytest.approx([0.5])


def test_cells_without_an_oracle_and_no_cells_give_an_empty_table() -> None:
    for found in (cells({"vanilla": 0.5, "iterative_refinement": 0.6}), pd.DataFrame()):
        table = recovery_by_contamination(found)
        assert table.empty
        assert tuple(table.columns) == COLUMNS


def test_a_row_says_of_which_experiment_it_is() -> None:
    one = cells({"vanilla": 0.7, "iterative_refinement": 0.8, "oracle": 0.9})
    other = one.assign(configuration="d", setting="b", detector="gaussian", definition="added_fraction")
    table = recovery_by_contamination(pd.concat([one, other]))
    told = table[["set_name", "definition", "detector", "configuration"]].to_dict("split")["data"]
    assert told == [
        ["sample", "added_fraction", "gaussian", "d"],
        ["sample", "pool_fraction", "differnet", "c"],
    ]
