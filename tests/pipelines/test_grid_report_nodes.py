from pathlib import Path

import pandas as pd

from irp_kedro.pipelines.grid_report import nodes


def cells() -> pd.DataFrame:
    rows = [
        {
            "grid": "mine",
            "set": "pill",
            "variant": "-",
            "cell": f"pill-{seed}",
            "dataset": "mvtec_ad",
            "product_class": "pill",
            "level": 0.1,
            "definition": "pool_fraction",
            "detector": "differnet",
            "seed": seed,
            "setting": "s",
            "configuration": "c",
            "strategy": strategy,
            "image_auroc": 0.8,
            "good_removed": 1.0,
            "bad_removed": 2.0,
        }
        for seed in (0, 1)
        for strategy in ("vanilla", "iterative_refinement", "oracle")
    ]
    return pd.DataFrame(rows)


def test_tables_and_figures_come_from_the_finished_cells_as_they_were_saved(
    tmp_path: Path, paper_results: pd.DataFrame
) -> None:
    nodes.collect_grid(cells()).to_csv(tmp_path / "results.csv", index=False)
    results = pd.read_csv(tmp_path / "results.csv")
    auroc, removals, recovery, spread, comparison = nodes.tabulate_grid(results, paper_results)
    assert [len(table) for table in (auroc, removals, recovery, spread, comparison)] == [3, 1, 1, 3, 1]
    assert comparison["paper_auroc"].tolist() == [0.858]
    figures = nodes.draw_grid(results, paper_results)
    assert [len(chart.panels) for chart in figures] == [1, 1, 1, 1]


def test_the_page_has_the_grid_s_name_and_note(paper_results: pd.DataFrame) -> None:
    told = cells()
    told.attrs["note"] = "Reduced copies."
    page = nodes.write_grid_report(told, *nodes.tabulate_grid(told, paper_results))
    assert page.startswith("# Grid mine\n\nReduced copies.")
    assert "0.858" in page
