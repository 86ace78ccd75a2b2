import pandas as pd
import pytest

from irp_kedro.core.cost import peak_memory_mb, run_cost

HISTORY = pd.DataFrame({"epochs": [2, 3], "images": [10, 8], "seconds": [1.0, 3.0]})


def test_an_image_counts_once_for_each_epoch_it_is_trained_in() -> None:
    cost = run_cost({"extracted": 6, "reused": 4, "seconds": 2.0}, HISTORY)
    assert cost["refinement_images_per_second"] == pytest.approx((2 * 10 + 1 * 8) / 4)
    assert cost["refinement_seconds"] == 4.0


def test_a_bank_that_was_full_has_no_rate_of_extraction() -> None:
    cost = run_cost({"extracted": 0, "reused": 10, "seconds": 0.1}, HISTORY)
    assert cost["extraction_images_per_second"] is None
    assert run_cost({"extracted": 6, "reused": 4, "seconds": 2.0}, HISTORY)["extraction_images_per_second"] == 3


def test_the_peak_of_memory_is_that_of_a_python_process_in_megabytes() -> None:
    assert 10 < peak_memory_mb() < 1_000_000
