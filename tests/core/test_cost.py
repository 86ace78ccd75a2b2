import pandas as pd
import pytest

from irp_kedro.core.cost import peak_memory_mb, run_cost

NO_PATCHES = {"extracted": 0, "reused": 0, "seconds": 0.0}
THRESHOLD = {"seconds": 1.5}
HISTORY = pd.DataFrame({"epochs": [2, 3], "images": [10, 8], "seconds": [1.0, 3.0]})


def test_an_image_counts_once_for_each_epoch_it_is_trained_in() -> None:
    cost = run_cost({"extracted": 6, "reused": 4, "seconds": 2.0}, NO_PATCHES, HISTORY, THRESHOLD)
    assert cost["refinement_images_per_second"] == pytest.approx((2 * 10 + 1 * 8) / 4)
    assert cost["refinement_seconds"] == 4.0
    assert cost["threshold_seconds"] == 1.5


def test_a_bank_that_was_full_has_no_rate_of_extraction_whatever_the_other_one_has() -> None:
    full = {"extracted": 0, "reused": 10, "seconds": 0.1}
    filled = {"extracted": 6, "reused": 4, "seconds": 2.0}
    cost = run_cost(full, filled, HISTORY, THRESHOLD)
    assert cost["extraction_images_per_second"] is None
    assert (cost["patch_extraction_seconds"], cost["patch_extraction_images_per_second"]) == (2.0, 3)
    cost = run_cost(filled, full, HISTORY, THRESHOLD)
    assert cost["extraction_images_per_second"] == 3
    assert cost["patch_extraction_images_per_second"] is None


def test_memory_is_told_of_the_process_and_of_no_strategy() -> None:
    cost = run_cost({"extracted": 0, "reused": 1, "seconds": 0.0}, NO_PATCHES, HISTORY, THRESHOLD)
    assert [name for name in cost if "memory" in name] == ["process_peak_memory_mb"]
    assert cost["process_peak_memory_mb"] <= peak_memory_mb()


def test_the_peak_of_memory_is_that_of_a_python_process_in_megabytes() -> None:
    assert 10 < peak_memory_mb() < 1_000_000
