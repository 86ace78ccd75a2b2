from collections.abc import Callable
from typing import Any

import pytest
import torch

from irp_kedro.datasets.grid_records import CellRecord
from irp_kedro.grid.cells import GridCell
from irp_kedro.grid.estimate import Estimate, GridState, count_gpus, estimate, share_cores, usable_cores
from irp_kedro.grid.plan import AssumedCost

CellsOf = Callable[..., list[GridCell]]
RecordOf = Callable[..., CellRecord]

SETS = {"pill": {"dataset.path": "/pill"}, "screw": {"dataset.path": "/screw"}}
ASSUMED: dict[str, Any] = {
    "extraction_views_per_second": 100,
    "training_views_per_second": 10,
    "images": {"sample": {"normal": 10, "defects": 20, "all": 50}},
    "basis": "assumed",
}


def state_of(cells: list[GridCell], *records: CellRecord) -> GridState:
    return GridState(cells=cells, records={record.digest: record for record in records})


def test_a_failed_cell_is_still_to_do(cells_of: CellsOf, record_of: RecordOf) -> None:
    first, second, third = cells_of(seeds=[0, 1, 2])
    state = state_of([first, second, third], record_of(first), record_of(second, "failed"))
    assert [state.status(cell) for cell in state.cells] == ["done", "failed", "to do"]
    assert (state.done, state.todo) == ([first], [second, third])


def test_time_is_that_of_finished_cells_of_the_same_set(cells_of: CellsOf, record_of: RecordOf) -> None:
    cells = cells_of(axes={"set": SETS}, seeds=[0, 1, 2])
    done = [record_of(cell, seconds=10.0 if cell.set == "pill" else 40.0) for cell in cells[:2]]
    assert estimate(state_of(cells, *done), None) == Estimate(
        seconds=2 * 10.0 + 2 * 40.0, basis="from 2 finished cells"
    )


def test_a_set_of_which_nothing_has_finished_takes_as_long_as_the_others(
    cells_of: CellsOf, record_of: RecordOf
) -> None:
    cells = cells_of(axes={"set": SETS})
    assert estimate(state_of(cells, record_of(cells[0], seconds=10.0)), None).seconds == 10.0


def test_nothing_is_claimed_where_nothing_has_finished(cells_of: CellsOf) -> None:
    assert estimate(state_of(cells_of()), None) == Estimate(seconds=None, basis="no cell has finished yet")


def test_assumed_rates_count_every_view_of_bank_training_and_scores(cells_of: CellsOf) -> None:
    cells = cells_of(
        {
            "contamination": {"level": 0.5},
            "views": {"bank": 4, "train": 2, "score": 3},
            "training": {"epochs": 5},
            "evaluation": {"maps": "none", "threshold_scores": "in_sample"},
        },
        seeds=[0, 1],
    )
    # One bank of 50 images x 4 views at 100 a second. Then for each cell 10 + 0.5 x 20 images: 3 strategies and
    # the oracle train 5 x 2 views each and score 3 views, a third as dear, once; another detector judges.
    views_per_image = 4 * 5 * 2 + 4 * 3 / 3
    expected = 50 * 4 / 100 + 2 * 20 * views_per_image / 10
    told = estimate(state_of(cells), AssumedCost.model_validate(ASSUMED))
    assert (told.seconds, told.basis, told.assumed) == (pytest.approx(expected), "assumed", True)


def seconds_of(cells: list[GridCell]) -> float:
    told = estimate(state_of(cells), AssumedCost.model_validate(ASSUMED)).seconds
    assert told is not None
    return told


def with_evaluation(**asked: Any) -> dict[str, Any]:
    views, training = {"train": 2, "score": 3, "bank": 4}, {"epochs": 5}
    evaluation = {"maps": "none", "threshold_scores": "in_sample", "held_out_fraction": 0.4, "map_views": 2}
    return {
        "contamination": {"level": 0.5},
        "views": views,
        "training": training,
        "evaluation": {**evaluation, **asked},
    }


def test_a_threshold_from_held_out_images_takes_a_training_of_its_own_for_each_strategy_and_the_oracle(
    cells_of: CellsOf,
) -> None:
    without, held_out = (
        seconds_of(cells_of(with_evaluation(threshold_scores=name))) for name in ("in_sample", "held_out")
    )
    # Of 20 training images 12 are trained on for 5 x 2 views, and 8 are scored: 3 views, a third as dear.
    assert held_out - without == pytest.approx(4 * (12 * 10 + 8 * 1) / 10)


def test_a_detector_that_leaves_each_image_out_itself_is_trained_for_no_threshold(cells_of: CellsOf) -> None:
    one, other = (
        seconds_of(cells_of({"detector": "patch_memory", **with_evaluation(threshold_scores=name)}))
        for name in ("in_sample", "held_out")
    )
    assert one == other


def test_heat_maps_follow_every_test_image_back_for_each_strategy(cells_of: CellsOf) -> None:
    without, maps = (seconds_of(cells_of(with_evaluation(maps=name))) for name in ("none", "all"))
    # 30 of 50 images are not trained on: 2 views, forward and twice as dear backward, at 100 a second.
    assert maps - without == pytest.approx(3 * 30 * 2 * 3 / 100)


def test_a_detector_that_judges_itself_scores_in_every_cycle(cells_of: CellsOf) -> None:
    settings = {"refinement": {"judge": [], "scoring": "in_sample", "pretrain_epochs": 4, "max_cycles": 6}}
    cost = AssumedCost.model_validate(ASSUMED)
    seconds = [
        estimate(state_of(cells_of(params)), cost).seconds
        for params in (settings, {"refinement": {"max_cycles": 6}})
    ]
    assert seconds[0] is not None
    assert seconds[1] is not None
    assert seconds[0] - seconds[1] == pytest.approx((10 + 0.2 * 20) * 6 * 8 / 3 / 10)


def test_finished_cells_count_more_than_assumptions(cells_of: CellsOf, record_of: RecordOf) -> None:
    first, second = cells_of(seeds=[0, 1])
    cost = AssumedCost.model_validate(ASSUMED)
    assert estimate(state_of([first, second], record_of(first, seconds=7.0)), cost).seconds == 7.0


def test_a_set_whose_counts_are_not_stated_makes_the_time_unknown(cells_of: CellsOf) -> None:
    cost = AssumedCost.model_validate({**ASSUMED, "images": {}})
    assert estimate(state_of(cells_of()), cost).seconds is None


@pytest.mark.parametrize(
    ("asked", "cores", "expected"),
    [
        ({"workers": 0, "threads": 0, "cells": 9}, 2, (2, 1)),
        ({"workers": 1, "threads": 0, "cells": 9}, 2, (1, 2)),
        ({"workers": 0, "threads": 0, "cells": 3}, 8, (3, 2)),
        ({"workers": 4, "threads": 0, "cells": 9}, 2, (4, 1)),
        ({"workers": 2, "threads": 3, "cells": 9}, 2, (2, 3)),
        ({"workers": 0, "threads": 0, "cells": 0}, 2, (1, 2)),
    ],
)
def test_workers_and_threads_together_take_the_cores_and_no_more(
    monkeypatch: pytest.MonkeyPatch, asked: dict[str, int], cores: int, expected: tuple[int, int]
) -> None:
    monkeypatch.setattr("irp_kedro.grid.estimate.usable_cores", lambda: cores)
    assert share_cores(**asked) == expected


@pytest.mark.parametrize(("device", "expected"), [("auto", 3), ("cuda", 3), ("cpu", 0), ("cuda:1", 0)])
def test_gpus_count_where_the_device_may_be_any_of_them(
    monkeypatch: pytest.MonkeyPatch, device: str, expected: int
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert count_gpus(device) == expected


def test_there_is_a_core() -> None:
    assert usable_cores() >= 1
