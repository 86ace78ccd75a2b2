from irp_kedro.reporting.paper import FILE, paper_results


def test_the_paper_s_results_are_one_row_a_set_and_level() -> None:
    table = paper_results()
    assert list(table.columns) == ["dataset", "product_class", "level", "auroc", "good", "bad"]
    assert len(table) == 7 * 6
    assert not table.duplicated(["dataset", "product_class", "level"]).any()
    assert table.notna().all(axis=None)


def test_its_best_known_figures_are_there() -> None:
    table = paper_results().set_index(["product_class", "level"])
    assert table.loc[("", 0.5), "auroc"] == 0.8967
    assert tuple(table.loc[("cable", 0.5), ["auroc", "good", "bad"]]) == (0.4604, 4, 12)


def test_the_file_says_that_they_are_not_ours_and_whose_they_are() -> None:
    head = FILE.read_text(encoding="utf-8")[:400]
    assert head.startswith("# NOT MEASURED HERE")
    assert "arXiv 2408.11561" in head
