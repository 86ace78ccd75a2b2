import numpy as np
import pandas as pd
import pytest

from irp_kedro.reporting.paper import LEVELS, SETS, paper_results


@pytest.fixture
def results() -> pd.DataFrame:
    return paper_results()


def test_every_set_has_every_level(results: pd.DataFrame) -> None:
    assert len(results) == len(SETS) * len(LEVELS) == 42
    assert not results.duplicated(["dataset", "product_class", "level"]).any()


def test_means_over_the_classes_are_those_that_the_paper_prints(results: pd.DataFrame) -> None:
    classes = results[results["dataset"] == "mvtec_ad"].groupby("level")["auroc"].mean()
    printed = [0.8994, 0.8615, 0.8485, 0.7967, 0.7616, 0.7193]
    assert classes.tolist() == pytest.approx(printed, abs=1.1e-3)


def test_spreads_over_the_classes_are_the_paper_s_error_magnitude(results: pd.DataFrame) -> None:
    classes = results[results["dataset"] == "mvtec_ad"].groupby("level")["auroc"]
    printed = [0.0246, 0.0149, 0.0086, 0.0518, 0.0777, 0.1099]
    assert np.array([group.std(ddof=0) for _, group in classes]) == pytest.approx(printed, abs=0.01)


def test_at_level_0_only_good_images_left_98_of_them(results: pd.DataFrame) -> None:
    clean = results[results["level"] == 0]
    assert (clean["good"].sum(), clean["bad"].sum()) == (98, 0)
