"""Whole runs of the project, as a user starts them, on sets that take seconds."""

import contextlib
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from omegaconf import OmegaConf

PROJECT = Path(__file__).parents[2]

# Runs the pipelines named (all, where none is) below a data root; returns what the terminal showed.
RunProject = Callable[..., str]
# Spells parameters as ``--params`` takes them.
Spelt = Callable[[Mapping[str, Any]], str]


@pytest.fixture(scope="session")
def tiny() -> dict[str, Any]:
    """What makes a run small, spelt as for ``--params``."""
    return {
        "sample.size": 32,
        "sample.normal_train": 24,
        "sample.normal_test": 8,
        "sample.defective": 16,
        "preparation.size": 32,
        "patches.size": 64,
        "views.bank": 2,
        "views.train": 2,
        "views.score": 2,
        "flow.blocks": 2,
        "flow.hidden": 16,
        "training.epochs": 4,
        "refinement.pretrain_epochs": 1,
        "refinement.epochs_per_cycle": 1,
        "refinement.max_cycles": 2,
        "evaluation.bootstrap_samples": 50,
        "evaluation.map_views": 1,
    }


@pytest.fixture(scope="session")
def make_dvc_repository() -> Callable[[Path], None]:
    """Makes a folder a DVC repository without git, so that nothing is recorded in the project's own."""

    def make(folder: Path) -> None:
        (folder / ".dvc").mkdir(parents=True, exist_ok=True)
        (folder / ".dvc" / "config").write_text("[core]\n    no_scm = true\n    analytics = false\n")

    return make


@pytest.fixture(scope="session")
def spelt() -> Spelt:
    return lambda parameters: ",".join(f"{key}={value}" for key, value in parameters.items())


@pytest.fixture(scope="module")
def run_project(
    tiny: dict[str, Any], make_dvc_repository: Callable[[Path], None], no_resolvers_left: None
) -> RunProject:
    bootstrap_project(PROJECT)

    def run(data_root: Path, *pipelines: str, **asked: Any) -> str:
        make_dvc_repository(data_root)
        parameters = {**tiny, "data_root": data_root, "lineage.root": data_root / "lineage", **asked}
        dotted = OmegaConf.from_dotlist([f"{key}={value}" for key, value in parameters.items()])
        session = KedroSession.create(PROJECT, runtime_params=OmegaConf.to_container(dotted))
        with contextlib.redirect_stdout(io.StringIO()) as terminal, session:
            session.run(pipeline_names=list(pipelines) or None)
        return terminal.getvalue()

    return run
