"""dvc.yaml and the study's say what catalog, parameters and code say."""

import itertools
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path, PurePath
from typing import Any

import grimp
import pytest
import yaml
from dvc.dependency import ParamsDependency
from dvc.repo import Repo
from dvc.stage import PipelineStage
from kedro.config import OmegaConfigLoader
from kedro.io.catalog_config_resolver import CatalogConfigResolver
from kedro.pipeline import Pipeline
from omegaconf import OmegaConf

from irp_kedro.datasets.sources import SOURCES
from irp_kedro.detectors.registry import DETECTORS
from irp_kedro.parameters import STRATEGIES, Parameters
from irp_kedro.pipeline_registry import register_pipelines
from irp_kedro.settings import CONFIG_LOADER_ARGS

PROJECT = Path(__file__).parents[2]
CONF = PROJECT / "conf"
STUDY = "studies/contamination/dvc.yaml"
PIPELINES = register_pipelines()

Stages = dict[str, PipelineStage]

# Where work is done changes no result.
WHERE = {"device", "data_root", "cell", "grid"}
# Tracked in part, or not at all, though the nodes are handed the whole group.
TRACKED: dict[str, dict[str, set[str]]] = {
    "refinement": {
        "parameters": set(),  # all of them, to write down which experiment this is
        # What the threshold that is kept with the model comes from.
        "evaluation": {
            f"evaluation.{key}" for key in ("false_alarm_rate", "threshold_scores", "held_out_fraction")
        },
    },
    # The dataset and the seed come from the study's params.yaml; a review is part of refinement.
    "bank": {"dataset": set(), "refinement.review": set()},
    "cell": {
        "dataset": set(),
        "seed": set(),
        "refinement.review": set(),
        "reporting.near_images": set(),
        "contamination": {f"contamination.{key}" for key in ("definition", "on_shortage", "split_seed")},
        "parameters": set(),
    },
}
# Values come from conf/ and are tracked there; messages and what an experiment is called change no result.
NEVER_FOLLOWED = {
    "irp_kedro",
    "irp_kedro.naming",
    "irp_kedro.parameters",
    "irp_kedro.measuring_parameters",
    "irp_kedro.errors",
}
EXTRACTION = {f"irp_kedro.features.{module}" for module in ("extraction", "backbone", "views")}
# Imported, but what it does for this stage is none of its results.
# The judges' module for the name of the device, the others for the types in the registry's signatures.
ASKED = {"irp_kedro.judges", "irp_kedro.core.detector", "irp_kedro.detectors.settings"}
NOT_FOLLOWED = {
    **dict.fromkeys(["bank", "features"], ASKED),
    **dict.fromkeys(["refinement", "oracle", "reporting"], EXTRACTION),  # reaches them as features in the bank
}
# They look up which features a detector works on; none of them runs.
LOOKS_DETECTORS_UP = {"bank", "features"}
# No node's outputs: sources, extraction and the loop add to them in place.
FILLED = {"raw_folder", "feature_store", *(f"{strategy}.checkpoints" for strategy in STRATEGIES)}
OVER_ALL_CELLS = {
    "auroc_by_contamination",
    "removals_by_contamination",
    "recovery_by_contamination",
    "table_1",
    "table_2",
    "auroc_figure",
    "removals_figure",
    "overview_page",
}
TEXT = {".csv", ".json", ".md"}  # of results: these are worth a line in git, pictures and pages are not


@cache
def load(path: str) -> Stages:
    repo = Repo(PROJECT.as_posix(), config={"core": {"no_scm": True}})
    return {stage.name: stage for stage in repo.stage.load_all(path=str(PROJECT / path))}


@pytest.fixture
def stages() -> Stages:
    return load("dvc.yaml")


@pytest.fixture
def study() -> Stages:
    """The stages of the study that run pipelines."""
    return {name: stage for name, stage in load(STUDY).items() if "@" in name}


def kind(stage: PipelineStage) -> str:
    return str(stage.name).partition("@")[0]


def asked(stage: PipelineStage) -> dict[str, Any]:
    """What the stage's command asks of Kedro: pipelines and parameters."""
    commands = [stage.cmd] if isinstance(stage.cmd, str) else stage.cmd
    (command,) = (shlex.split(line) for line in commands if line.startswith("kedro run "))
    options = dict(zip(command[2::2], command[3::2], strict=True))
    parameters = dict(pair.split("=", 1) for pair in options["--params"].split(","))
    return {"pipelines": options.get("--pipelines", "__default__").split(","), **parameters}


def pipeline_of(stage: PipelineStage) -> Pipeline:
    return sum((PIPELINES[name] for name in asked(stage)["pipelines"]), start=Pipeline([]))


@cache
def catalog_with(data_root: str, cell: str) -> CatalogConfigResolver:
    resolvers: dict[str, Callable[..., str]] = {
        "cell": lambda: cell,
        "data_root": lambda: data_root,
        "grid": lambda: "a-grid",
        "lineage_folder": lambda: "data/lineage/a-cell",
        "lineage": lambda key: key,
    }
    for name in resolvers:  # Kedro keeps one of that name that is there already
        OmegaConf.clear_resolver(name)
    loader = OmegaConfigLoader(CONF.as_posix(), custom_resolvers=resolvers, **CONFIG_LOADER_ARGS)
    entries = dict(loader["catalog"])
    for name in resolvers:
        OmegaConf.clear_resolver(name)
    return CatalogConfigResolver(entries)


def entries_of(stage: PipelineStage, names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The catalog's entry of each of these datasets that has a file, as the stage's command fills it in."""
    catalog = catalog_with(asked(stage)["data_root"], asked(stage)["cell"])
    found = {name: catalog.resolve_pattern(name) for name in names if not name.startswith("param")}
    return {name: entry for name, entry in found.items() if "filepath" in entry}


def paths(entries: dict[str, dict[str, Any]], *, but: Iterable[str] = ()) -> set[str]:
    return {entry["filepath"] for name, entry in entries.items() if name not in but}


def read_by(stage: PipelineStage) -> dict[str, dict[str, Any]]:
    return entries_of(stage, pipeline_of(stage).inputs())


def written_by(stage: PipelineStage) -> dict[str, dict[str, Any]]:
    return entries_of(stage, pipeline_of(stage).all_outputs())


def filled_by(stage: PipelineStage) -> dict[str, dict[str, Any]]:
    return {name: entry for name, entry in read_by(stage).items() if name in FILLED}


def is_result(out: str) -> bool:
    return "08_reporting" in out and PurePath(out).suffix in TEXT


def relative(path: str) -> str:
    return Path(path).relative_to(PROJECT).as_posix()


def outs_of(stage: PipelineStage) -> set[str]:
    return {relative(out.fs_path) for out in stage.outs}


def deps_of(stage: PipelineStage) -> set[str]:
    return {relative(dep.fs_path) for dep in stage.deps if not isinstance(dep, ParamsDependency)}


def code_of(stage: PipelineStage) -> set[str]:
    return {dep for dep in deps_of(stage) if dep.startswith("src/")}


def params_of(stage: PipelineStage) -> set[str]:
    """The keys of conf/base that the stage tracks; a file named without keys stands for all of its keys."""
    found: set[str] = set()
    for dep in stage.deps:
        if isinstance(dep, ParamsDependency) and CONF / "base" in Path(dep.fs_path).parents:
            found |= set(dep.params or yaml.safe_load(Path(dep.fs_path).read_text(encoding="utf-8")))
    return found


def params_taken(stage: PipelineStage) -> set[str]:
    tracked = {"parameters": set(Parameters.model_fields), **TRACKED.get(kind(stage), {})}
    groups = {name.removeprefix("params:") for name in pipeline_of(stage).inputs() if name.startswith("param")}
    return {key for group in groups for key in tracked.get(group, {group})} - WHERE


def modules_run(stage: PipelineStage) -> set[str]:
    """Every module that nodes, datasets, sources and detectors of the stage reach by imports."""
    pipeline = pipeline_of(stage)
    types = {str(entry["type"]) for entry in entries_of(stage, pipeline.datasets()).values()}
    todo = {str(node.func.__module__) for node in pipeline.nodes}
    todo |= {name.rpartition(".")[0] for name in types if name.startswith("irp_kedro.")}
    todo |= set(SOURCES.values()) if "params:dataset" in pipeline.inputs() else set()
    if {"params:detector", "vanilla.model"} & pipeline.inputs() and kind(stage) not in LOOKS_DETECTORS_UP:
        todo |= {entry.place.partition(":")[0] for entry in DETECTORS.values()}
    graph = import_graph()
    found: set[str] = set()
    while todo := todo - found - NEVER_FOLLOWED - NOT_FOLLOWED.get(kind(stage), set()):
        found |= todo
        todo = {name for module in todo for name in graph.find_modules_directly_imported_by(module)}
    return found


@cache
def import_graph() -> grimp.ImportGraph:
    return grimp.build_graph("irp_kedro", cache_dir=None)


def covered(module: str, deps: Iterable[str]) -> bool:
    file = PurePath("src", *module.split(".")).with_suffix(".py")
    return any(file.is_relative_to(dep) for dep in deps)


def test_each_pipeline_of_a_plain_run_is_a_stage_that_runs_it_in_one_cell(stages: Stages) -> None:
    place = {"data_root": "data/dvc", "cell": "default"}
    names = PIPELINES.keys() - {"__default__", "calibration", "grid_report"}
    assert {name: asked(stage) for name, stage in stages.items()} == {
        name: {"pipelines": [name], **place} for name in names
    }


def test_outs_are_the_paths_that_the_catalog_gives_to_what_a_pipeline_writes_or_fills(stages: Stages) -> None:
    for stage in stages.values():
        assert outs_of(stage) == paths(written_by(stage)) | paths(filled_by(stage)), stage.name


def test_deps_are_the_paths_of_what_a_pipeline_reads_but_does_not_fill_itself(stages: Stages) -> None:
    for stage in stages.values():
        # The folder of all cells' results holds what this very stage writes.
        read = paths(read_by(stage), but=FILLED | {"cell_results"})
        beside_code = {
            path for path in read if any(PurePath(path).is_relative_to(dep) for dep in code_of(stage))
        }
        assert deps_of(stage) - code_of(stage) == read - beside_code, stage.name


def test_params_are_those_that_the_nodes_take(stages: Stages, study: Stages) -> None:
    for stage in (*stages.values(), *study.values()):
        assert params_of(stage) == params_taken(stage), stage.name


def test_each_tracked_parameter_stands_in_the_file_that_dvc_reads(stages: Stages, study: Stages) -> None:
    for stage in (*stages.values(), *study.values()):
        for dep in stage.deps:
            if isinstance(dep, ParamsDependency):
                assert dep.read_params().keys() >= set(dep.params), stage.name


def test_code_that_a_stage_runs_lies_in_its_deps(stages: Stages, study: Stages) -> None:
    for stage in (*stages.values(), *study.values()):
        assert {name for name in modules_run(stage) if not covered(name, code_of(stage))} == set(), stage.name


def test_a_stage_depends_on_no_code_that_it_does_not_run(stages: Stages, study: Stages) -> None:
    for stage in (*stages.values(), *study.values()):
        run = modules_run(stage)
        assert {dep for dep in code_of(stage) if not any(covered(name, [dep]) for name in run)} == set()


def test_pointers_and_records_lie_in_no_out(stages: Stages, study: Stages) -> None:
    root = PurePath(Parameters().lineage.root)
    for stage in (*stages.values(), *study.values()):
        places = [PurePath(out) for out in outs_of(stage)]
        assert not [out for out in places if out.is_relative_to(root) or root.is_relative_to(out)]


def test_what_a_killed_stage_goes_on_from_is_not_deleted_before_it_runs(stages: Stages) -> None:
    for stage in stages.values():
        persistent = {relative(out.fs_path) for out in stage.outs if out.persist}
        assert persistent == paths(filled_by(stage)), stage.name


def test_images_and_features_are_not_copied_into_the_cache_and_results_go_to_git(stages: Stages) -> None:
    uncached = {relative(out.fs_path) for stage in stages.values() for out in stage.outs if not out.use_cache}
    results = {out for stage in stages.values() for out in outs_of(stage) if is_result(out)}
    assert uncached == {"data/dvc/01_raw", "data/dvc/04_feature/store"} | results


def test_git_tracks_the_results_and_nothing_else_that_stages_write(stages: Stages, tmp_path: Path) -> None:
    shutil.copy(PROJECT / ".gitignore", tmp_path)
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    outs = sorted(out for stage in stages.values() for out in outs_of(stage))
    done = subprocess.run(
        ["git", "check-ignore", *outs], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert set(done.stdout.splitlines()) == {out for out in outs if not is_result(out)}


def test_compiled_files_are_no_change_of_code(stages: Stages) -> None:
    repo = stages["refinement"].repo
    assert repo.dvcignore.is_ignored_dir(str(PROJECT / "src" / "irp_kedro" / "core" / "__pycache__"))


def test_metrics_are_those_of_the_catalog(stages: Stages) -> None:
    metrics = {relative(out.fs_path) for stage in stages.values() for out in stage.outs if out.metric}
    named = {f"{name}.metrics" for name in (*STRATEGIES, "oracle")}
    assert metrics == paths(entries_of(stages["reporting"], named))


def test_plots_show_outs_of_the_stages_beside_them() -> None:
    for path in ("dvc.yaml", STUDY):
        outs = {PROJECT / out for stage in load(path).values() for out in outs_of(stage)}
        plots = yaml.safe_load((PROJECT / path).read_text(encoding="utf-8"))["plots"]
        shown = {
            (PROJECT / path).parent / file for plot in plots for each in plot.values() for file in each["y"]
        }
        assert shown
        assert shown - outs == set(), path


def test_the_outs_of_the_study_are_the_folders_of_each_cell_in_every_layer(study: Stages) -> None:
    for stage in study.values():
        command = asked(stage)
        written = [PurePath(path) for path in paths(written_by(stage), but=OVER_ALL_CELLS)]
        layers = {path.relative_to(command["data_root"]).parts[0] for path in written}
        assert outs_of(stage) == {f"{command['data_root']}/{layer}/{command['cell']}" for layer in layers}
        assert all(command["cell"] in path.parts for path in written)


def test_the_study_runs_every_class_at_every_level_with_every_seed(study: Stages) -> None:
    folder = PROJECT / "studies" / "contamination"
    told = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    cells = [asked(stage) for stage in study.values() if kind(stage) == "cell"]
    keys = ("dataset.product_class", "contamination.level", "seed")
    expected = itertools.product(told["classes"], told["levels"], told["seeds"])
    assert [tuple(cell[key] for key in keys) for cell in cells] == [tuple(map(str, cell)) for cell in expected]
    assert len({cell["cell"] for cell in cells}) == len(cells)
    (tracked,) = (dep.params for dep in load(STUDY)["tables"].deps if isinstance(dep, ParamsDependency))
    assert set(tracked) == told.keys() - {"source"}


def test_what_all_cells_of_the_study_share_is_an_out_of_none(study: Stages) -> None:
    outs = {out for stage in study.values() for out in outs_of(stage)}
    (root,) = {asked(stage)["data_root"] for stage in study.values()}
    assert not outs & {
        f"{root}/01_raw",
        f"{root}/04_feature",
        f"{root}/04_feature/store",
        f"{root}/08_reporting",
    }


def test_a_killed_cell_of_the_study_finds_its_checkpoints(study: Stages) -> None:
    for stage in study.values():
        persistent = {relative(out.fs_path) for out in stage.outs if out.persist}
        checkpoints = paths(filled_by(stage), but={"raw_folder", "feature_store"})
        assert all(any(PurePath(path).is_relative_to(out) for out in persistent) for path in checkpoints)


def test_every_cell_of_the_study_waits_for_the_bank_of_its_class(study: Stages) -> None:
    banks = {stage.name.partition("@")[2]: outs_of(stage) for stage in study.values() if kind(stage) == "bank"}
    for stage in study.values():
        if kind(stage) == "cell":
            product_class = asked(stage)["dataset.product_class"]
            assert deps_of(stage) - code_of(stage) == banks[product_class]
