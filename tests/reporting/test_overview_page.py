import re
from types import SimpleNamespace

import pandas as pd

from irp_kedro.core.recovery import recovery_by_contamination
from irp_kedro.reporting.overview_page import OverviewResults, overview_page
from irp_kedro.reporting.paper_tables import table_1, table_2
from irp_kedro.reporting.tables import auroc_by_contamination, removals_by_contamination

FIGURE = SimpleNamespace(
    name="drawn", title="Drawn", alt="A line.", svg="<svg/>", plotly={"data": [], "layout": {}}
)


def cells(*, labelled: bool = True) -> pd.DataFrame:
    rows = [
        {
            "cell": f"mvtec_ad-pill-level0.3-seed{seed}",
            "dataset": "mvtec_ad",
            "product_class": "pill",
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


def page_of(found: pd.DataFrame) -> str:
    return overview_page(
        OverviewResults(
            cells=found,
            table_1=table_1(auroc_by_contamination(found)),
            table_2=table_2(removals_by_contamination(found)),
            recovery=recovery_by_contamination(found),
            figures={"auroc_figure": FIGURE, "removals_figure": FIGURE},
        )
    )


def words(page: str) -> str:
    body = page[page.index("<body>") : page.index("<script>")]
    return re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", body))


def test_the_paper_s_rows_are_marked_as_the_paper_s_and_hold_its_figures() -> None:
    page = page_of(cells())
    rows = re.findall(r'<tr class="paper">.*?</tr>', page)
    assert len(rows) == 2  # of Table 1 and Table 2
    assert all("the paper" in row for row in rows)
    assert "0.802" in rows[0]
    assert not [row for row in re.findall(r"<tr>.*?</tr>", page) if "the paper" in row]


def test_every_cell_is_linked_and_recovery_is_told() -> None:
    page = page_of(cells())
    assert re.findall(r'href="([^"#]+report.html)"', page) == [
        f"mvtec_ad-pill-level0.3-seed{seed}/report.html" for seed in (0, 1)
    ]
    assert "In 2 of 2 cells the refined detector has the higher AUROC" in words(page)
    assert "0.500" in words(page)  # half of the loss


def test_without_labels_there_are_no_tables_of_auroc_but_the_cells() -> None:
    page = page_of(cells(labelled=False))
    assert "No cell has labelled test images" in words(page)
    assert "Table 1" not in words(page)
    assert page.count("report.html") == 2
