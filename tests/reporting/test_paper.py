from pathlib import Path

import pandas as pd
import pytest

from irp_kedro.reporting import paper
from irp_kedro.reporting.paper import MEAN, classes_of_mean, of_set, papers_means, papers_sets

FILE = Path(paper.__file__).with_name("paper_results.csv")


def test_the_paper_s_sets_are_one_row_a_set_and_level(paper_results: pd.DataFrame) -> None:
    table = papers_sets(paper_results)
    assert len(table) == 7 * 6
    assert not table.duplicated(["set_name", "level"]).any()
    assert table.notna().all(axis=None)
    assert MEAN not in set(table["set_name"])


def test_its_best_known_figures_are_there(paper_results: pd.DataFrame) -> None:
    table = papers_sets(paper_results).set_index(["set_name", "level"])
    assert table.loc[("ksdd2", 0.5), "auroc"] == 0.8967
    assert tuple(table.loc[("cable", 0.5), ["auroc", "good", "bad"]]) == (0.4604, 4, 12)


def test_its_means_and_error_magnitudes_stand_apart(paper_results: pd.DataFrame) -> None:
    assert papers_means(paper_results).loc[0.5].tolist() == [0.7193, 0.1099]
    assert classes_of_mean(paper_results) == ["cable", "capsule", "metal_nut", "pill", "screw", "zipper"]


@pytest.mark.parametrize(
    ("name", "definition", "rows"),
    [("pill", "pool_fraction", 6), ("pill", "added_fraction", 0), ("KolektorSDD", "pool_fraction", 0)],
)
def test_it_stands_beside_a_set_of_its_name_whose_level_is_defined_as_its_own(
    paper_results: pd.DataFrame, name: str, definition: str, rows: int
) -> None:
    assert len(of_set(paper_results, name, definition)) == rows


def test_the_file_says_that_they_are_not_ours_and_whose_they_are() -> None:
    head = FILE.read_text(encoding="utf-8")[:400]
    assert head.startswith("# NOT MEASURED HERE")
    assert "arXiv 2408.11561" in head
