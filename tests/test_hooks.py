from contextlib import nullcontext
from pathlib import Path

import pandas as pd
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline

from irp_kedro.datasets.dvc_snapshot import DVCSnapshotDataset
from irp_kedro.datasets.sources import SOURCES, check_source_name, find_source
from irp_kedro.errors import LineageError, ParameterError
from irp_kedro.hooks import LineageHooks, ParameterHooks, SummaryHooks
from irp_kedro.parameters import STRATEGIES
from irp_kedro.pipeline_registry import register_pipelines


class Context:
    def __init__(self, **parameters: object) -> None:
        self.config_loader = {"parameters": parameters}


def test_bad_parameters_are_refused_as_soon_as_there_is_a_context() -> None:
    hooks = ParameterHooks()
    hooks.after_context_created(Context(seed=1))
    with pytest.raises(ParameterError, match="sead is no parameter"):
        hooks.after_context_created(Context(sead=1))


@pytest.mark.parametrize(("pipeline", "refused"), [("refinement", True), ("evaluation", False)])
def test_a_run_that_could_not_keep_its_snapshots_is_refused_before_it_starts(
    tmp_path: Path, pipeline: str, refused: bool
) -> None:
    entry = {"path": (tmp_path / "lineage" / "cell" / "vanilla").as_posix()}
    names = [f"{strategy}.snapshots" for strategy in STRATEGIES]
    datasets = {name: DVCSnapshotDataset(filepath=f"{tmp_path}/{name}", lineage=entry) for name in names}
    expected = pytest.raises(LineageError, match="lies in no DVC repository") if refused else nullcontext()
    with expected:
        LineageHooks().before_pipeline_run(register_pipelines()[pipeline], DataCatalog(datasets))


def test_a_run_that_makes_no_summary_prints_none(capsys: pytest.CaptureFixture[str]) -> None:
    pipeline = Pipeline([Node(len, "a", "b", name="count")])
    SummaryHooks().after_pipeline_run(pipeline, DataCatalog({}))
    assert capsys.readouterr().out == ""


def test_a_run_that_makes_the_summary_ends_with_it(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"cell": "mine", "strategy": "vanilla", "achieved_contamination": None, "n_removed": 0}
    catalog = DataCatalog({"summary_table": MemoryDataset(pd.DataFrame([row])), "report": MemoryDataset("")})
    pipeline = Pipeline([Node(lambda a: (a, a), "a", ["summary_table", "report"], name="summarise_cell")])
    SummaryHooks().after_pipeline_run(pipeline, catalog)
    shown = capsys.readouterr().out
    assert "vanilla" in shown
    assert "No label was known" in shown


def test_every_source_can_be_found_and_read() -> None:
    for name in SOURCES:
        assert callable(find_source(name).read)


def test_an_unknown_source_gets_the_nearest_name() -> None:
    with pytest.raises(ParameterError, match="did you mean 'ksdd2'"):
        check_source_name("ksdd")
