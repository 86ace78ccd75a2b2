"""Commands that compute nothing import nothing heavy: help takes as long as the slowest import."""

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
HEAVY = {"torch", "torchvision", "timm", "FrEIA", "dvc", "dvc_data", "scmrepo"}


def imported_by(*command: str) -> set[str]:
    """Return the top-level packages that ``kedro command`` imports, as Python itself reports them."""
    asked = [sys.executable, "-X", "importtime", "-m", "kedro", *command]
    done = subprocess.run(asked, cwd=PROJECT, capture_output=True, text=True, check=True)
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


@pytest.mark.parametrize("command", [("run", "--help"), ("irp", "--help"), ("registry", "list")], ids=" ".join)
def test_a_command_that_computes_nothing_imports_neither_torch_nor_dvc(command: tuple[str, ...]) -> None:
    packages = imported_by(*command)
    assert {"kedro", "irp_kedro"} <= packages  # the project's own commands were there
    assert packages & HEAVY == set()
