import pandas as pd

from irp_kedro.reporting.type_figures import defect_types


def test_types_of_defect_show_auroc_and_the_share_that_was_removed() -> None:
    table = pd.DataFrame(
        {"defect_type": ["dent", "spot"], "image_auroc": [0.8, 0.9], "injected": [4, 2], "removed": [1, 0]}
    )
    auroc, removed = defect_types({"vanilla": table, "iterative_refinement": table}).panels
    assert [series.name for series in auroc.series] == ["vanilla", "iterative refinement"]
    assert [(series.name, list(series.y)) for series in removed.series] == [
        ("iterative refinement", [0.25, 0.0])
    ]


def test_a_type_of_which_nothing_is_known_has_no_bar_rather_than_one_of_zero() -> None:
    table = pd.DataFrame(
        {
            "defect_type": ["dent", "spot", "tear"],
            "image_auroc": [0.8, 0.9, None],
            "injected": [4, 0, 2],
            "removed": [0, 0, 1],
        }
    )
    auroc, removed = defect_types({"vanilla": table, "iterative_refinement": table}).panels
    assert [(list(series.x), list(series.y)) for series in auroc.series] == [(["dent", "spot"], [0.8, 0.9])] * 2
    assert [(list(series.x), list(series.y)) for series in removed.series] == [(["dent", "tear"], [0.0, 0.5])]


def test_without_types_there_is_no_panel() -> None:
    nothing = pd.DataFrame(columns=["defect_type", "image_auroc", "injected", "removed"])
    assert defect_types({"vanilla": nothing}).panels == ()
