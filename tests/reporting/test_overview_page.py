import re
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace

import pandas as pd
import pytest

from irp_kedro.core.recovery import recovery_by_contamination
from irp_kedro.reporting.overview_page import OverviewResults, overview_page
from irp_kedro.reporting.paper_tables import table_1, table_2
from irp_kedro.reporting.tables import auroc_by_contamination, removals_by_contamination

PageOf = Callable[[pd.DataFrame], str]
FIGURE = SimpleNamespace(
    name="drawn", title="Drawn", alt="A line.", svg="<svg/>", plotly={"data": [], "layout": {}}
)


def cells(*, labelled: bool = True) -> pd.DataFrame:
    rows = [
        {
            "cell": f"mvtec_ad-pill-level0.3-seed{seed}",
            "dataset": "mvtec_ad",
            "product_class": "pill",
            "set_name": "pill",
            "set_digest": "p",
            "level": 0.3,
            "definition": "pool_fraction",
            "detector": "differnet",
            "seed": seed,
            "setting": "s",
            "configuration": "c",
            "strategy": strategy,
            "image_auroc": auroc if labelled else float("nan"),
            "n_removed": 5 if strategy == "iterative_refinement" else 0,
            "bad_removed": 4.0 if labelled else float("nan"),
            "good_removed": 1.0 if labelled else float("nan"),
        }
        for seed in (0, 1)
        for strategy, auroc in (("vanilla", 0.7), ("iterative_refinement", 0.8), ("oracle", 0.9))
    ]
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def page_of(paper_results: pd.DataFrame) -> PageOf:
    return partial(shown, paper_results)


def shown(paper: pd.DataFrame, found: pd.DataFrame) -> str:
    return overview_page(
        OverviewResults(
            cells=found,
            table_1=table_1(auroc_by_contamination(found), paper),
            table_2=table_2(removals_by_contamination(found), paper),
            recovery=recovery_by_contamination(found),
            figures={"auroc_figure": FIGURE, "removals_figure": FIGURE},
        )
    )


def words(page: str) -> str:
    body = page[page.index("<body>") : page.index("<script>")]
    return re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", body))


def test_the_paper_s_rows_are_marked_as_the_paper_s_and_hold_its_figures(page_of: PageOf) -> None:
    page = page_of(cells())
    rows = re.findall(r'<tr class="paper">.*?</tr>', page)
    assert len(rows) == 2  # of Table 1 and Table 2
    assert all("the paper" in row for row in rows)
    assert "0.802" in rows[0]
    assert not [row for row in re.findall(r"<tr>.*?</tr>", page) if "the paper" in row]


def test_every_cell_is_linked_and_recovery_is_told(page_of: PageOf) -> None:
    page = page_of(cells())
    assert re.findall(r'href="([^"#]+report.html)"', page) == [
        f"mvtec_ad-pill-level0.3-seed{seed}/report.html" for seed in (0, 1)
    ]
    assert "Of 2 cells the refined detector has a higher AUROC in 2, a lower one in 0" in words(page)
    assert "0.500" in words(page)  # half of the loss


def test_without_labels_there_are_no_tables_of_auroc_but_the_cells(page_of: PageOf) -> None:
    page = page_of(cells(labelled=False))
    assert "No cell has labelled test images" in words(page)
    assert "Table 1" not in words(page)
    assert page.count("report.html") == 2


def test_the_headline_averages_no_cells_of_different_sets(page_of: PageOf) -> None:
    other = cells().assign(cell="sample-level0.1-seed0", set_name="sample", product_class="", level=0.1)
    other.loc[other["strategy"] == "iterative_refinement", "image_auroc"] = 0.6
    page = words(page_of(pd.concat([cells(), other[other["seed"] == 0]])))
    assert "has a higher AUROC in 2, a lower one in 1; the change is -0.100 to +0.100." in page
    assert "mean" not in page[: page.index("AUROC by contamination")]


def test_rows_of_recovery_say_of_which_experiment_they_are(page_of: PageOf) -> None:
    other = cells().assign(configuration="d", setting="t", detector="gaussian", definition="added_fraction")
    page = page_of(pd.concat([cells(), other]))
    section = page[page.index('id="recovery"') : page.index('id="cells"')]
    captions = re.findall("<caption>(.*?) Catalog", section)
    assert captions == [
        "Means over seeds. Detector gaussian, level as added_fraction, configuration d.",
        "Means over seeds. Detector differnet, level as pool_fraction, configuration c.",
    ]


def test_table_2_counts_images(page_of: PageOf) -> None:
    page = page_of(cells())
    rows = re.findall("<tr.*?</tr>", page[page.index("Table 2") : page.index('id="recovery"')], flags=re.DOTALL)
    cells_of = [re.findall("<t[dh][^>]*>(.*?)</t[dh]>", row) for row in rows]
    assert [row[-2:] for row in cells_of[1:]] == [["1", "4"], ["4", "13"]]  # good, bad: ours, the paper's


@pytest.mark.parametrize("labelled", [True, False])
def test_every_section_table_and_figure_names_its_entry(page_of: PageOf, *, labelled: bool) -> None:
    page = page_of(cells(labelled=labelled))
    for element in ("section", "caption", "figcaption"):
        found = re.findall(rf"<{element}\b.*?</{element}>", page, flags=re.DOTALL)
        assert found or not labelled
        assert all('class="entry"' in part for part in found)
    assert page.count("<table") == page.count("<caption")


def test_numbers_in_tables_over_all_cells_are_those_of_their_entries(
    page_of: PageOf, paper_results: pd.DataFrame
) -> None:
    page = page_of(cells())
    entries = {
        "table_1": table_1(auroc_by_contamination(cells()), paper_results),
        "table_2": table_2(removals_by_contamination(cells()), paper_results),
        "recovery_by_contamination": recovery_by_contamination(cells()),
    }
    for name, entry in entries.items():
        (shown_table,) = [part for part in page.split("<table>")[1:] if f'"entry">{name}<' in part]
        numbers = {f"{value:.3f}" for value in entry.select_dtypes("number").to_numpy().ravel()}
        body = shown_table[shown_table.index("<tbody>") : shown_table.index("</tbody>")]
        told = re.findall(r"<td>(\d\.\d{3})</td>", body)
        assert bool(told) == (name != "table_2")
        assert set(told) <= numbers
