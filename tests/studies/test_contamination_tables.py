"""What studies/contamination/tabulate.py makes of the summaries of its cells."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd
import pytest
import yaml

SCRIPT = Path(__file__).parents[2] / "studies" / "contamination" / "tabulate.py"
Cell = tuple[str, float, int]


@pytest.fixture
def tabulate(tmp_path: Path) -> Callable[[Mapping[Cell, float]], subprocess.CompletedProcess[str]]:
    """Runs the script beside a params.yaml of two classes, one level and two seeds."""
    shutil.copy(SCRIPT, tmp_path)
    study = {"classes": ["pill", "screw"], "levels": [0.1], "seeds": [0, 1]}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")

    def run(auroc: Mapping[Cell, float]) -> subprocess.CompletedProcess[str]:
        for (name, level, seed), value in auroc.items():
            told = {"cell": f"{name}-level{level}-seed{seed}", "level": level, "seed": seed}
            rows = [{**told, "strategy": "iterative_refinement", "image_auroc": value, "good_removed": seed}]
            folder = tmp_path / "summaries" / str(told["cell"])
            folder.mkdir(parents=True)
            pd.DataFrame(rows).assign(bad_removed=4).to_csv(folder / "summary.csv", index=False)
        command = [sys.executable, str(tmp_path / SCRIPT.name), str(tmp_path / "summaries")]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    return run


FOUR = {("pill", 0.1, 0): 0.7, ("pill", 0.1, 1): 0.8, ("screw", 0.1, 0): 0.9, ("screw", 0.1, 1): 1.0}


def test_means_are_over_classes_and_seeds_with_the_spread_over_seeds(
    tabulate: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    done = tabulate({**FOUR, ("pill", 0.1, 7): 0.0})  # a cell that params.yaml does not name
    assert done.returncode == 0, done.stderr
    assert len(pd.read_csv(tmp_path / "results.csv")) == 4
    (auroc,) = pd.read_csv(tmp_path / "auroc_by_level.csv").to_dict("records")
    assert auroc == {
        "level": 0.1,
        "iterative_refinement": pytest.approx(0.85),  # of .8 and .9
        "iterative_refinement_seed_std": pytest.approx(0.1 / 2**0.5),
    }
    (removed,) = pd.read_csv(tmp_path / "removals_by_level.csv").to_dict("records")
    assert removed == {"level": 0.1, "bad_removed": 4, "good_removed": 0.5}


def test_a_seed_that_has_not_run_is_an_error(
    tabulate: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    done = tabulate({cell: value for cell, value in FOUR.items() if cell != ("screw", 0.1, 1)})
    assert done.returncode != 0
    assert "screw-level0.1-seed1" in done.stderr
