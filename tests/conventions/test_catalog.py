"""What the pipelines write is kept: every output is in the catalog."""

from pathlib import Path
from typing import Any

import pytest
from kedro.config import OmegaConfigLoader
from kedro.io.catalog_config_resolver import CatalogConfigResolver
from kedro.pipeline import Pipeline

from irp_kedro.pipeline_registry import register_pipelines
from irp_kedro.settings import CONFIG_LOADER_ARGS

CONF = Path(__file__).parents[2] / "conf"
IN_MEMORY = {"loop_settings", "provenance"}  # parameters and digests gathered in one object: nothing to keep


@pytest.fixture(scope="module")
def entries() -> dict[str, Any]:
    # What follows from the parameters is known to the project's own loader only; any name will do here.
    resolvers = {
        "cell": lambda: "a-cell",
        "data_root": lambda: "data",
        "grid": lambda: "a-grid",
        "lineage_folder": lambda: "lineage",
        "lineage": lambda key: key,
    }
    loader = OmegaConfigLoader(CONF.as_posix(), custom_resolvers=resolvers, **CONFIG_LOADER_ARGS)
    return dict(loader["catalog"])


@pytest.fixture(scope="module")
def catalog(entries: dict[str, Any]) -> CatalogConfigResolver:
    return CatalogConfigResolver(entries)


@pytest.fixture(scope="module")
def pipelines() -> dict[str, Pipeline]:
    return register_pipelines()


def is_listed(name: str, entries: dict[str, Any], catalog: CatalogConfigResolver) -> bool:
    return name in entries or catalog.match_dataset_pattern(name) is not None


def test_every_output_of_every_pipeline_is_in_the_catalog_but_the_loop_settings(
    pipelines: dict[str, Pipeline], entries: dict[str, Any], catalog: CatalogConfigResolver
) -> None:
    outputs = {name for pipeline in pipelines.values() for name in pipeline.all_outputs()}
    assert {name for name in outputs if not is_listed(name, entries, catalog)} == IN_MEMORY


def test_what_no_pipeline_makes_comes_from_the_catalog_or_the_parameters(
    pipelines: dict[str, Pipeline], entries: dict[str, Any], catalog: CatalogConfigResolver
) -> None:
    inputs = pipelines["__default__"].inputs()
    free = {name for name in inputs if name != "parameters" and not name.startswith("params:")}
    assert {name for name in free if not is_listed(name, entries, catalog)} == set()


def test_no_catalog_entry_lies_idle(
    pipelines: dict[str, Pipeline], entries: dict[str, Any], catalog: CatalogConfigResolver
) -> None:
    used = {name for pipeline in pipelines.values() for name in pipeline.datasets()}
    matched = {catalog.match_dataset_pattern(name) for name in used}
    assert set(entries) - used - matched == set()


def test_entries_of_one_cell_never_share_a_file_but_where_one_only_reads(
    pipelines: dict[str, Pipeline], entries: dict[str, Any], catalog: CatalogConfigResolver
) -> None:
    outputs = {name for pipeline in pipelines.values() for name in pipeline.all_outputs()} - IN_MEMORY
    written = [catalog.resolve_pattern(name)["filepath"] for name in sorted(outputs)]
    assert len(set(written)) == len(written)


def test_every_node_says_what_it_does(pipelines: dict[str, Pipeline]) -> None:
    nodes = {node for pipeline in pipelines.values() for node in pipeline.nodes}
    assert {node.name for node in nodes if not (node.func.__doc__ or "").strip()} == set()


def test_kedro_viz_knows_the_layer_of_every_entry(entries: dict[str, Any]) -> None:
    layers = {"raw", "intermediate", "primary", "feature", "model_input", "models", "model_output", "reporting"}
    found = {name: entry["metadata"]["kedro-viz"]["layer"] for name, entry in entries.items()}
    assert set(found.values()) == layers


def test_kedro_viz_shows_the_beginning_of_every_table(entries: dict[str, Any]) -> None:
    tables = [entry for entry in entries.values() if entry["type"] == "pandas.CSVDataset"]
    assert tables
    assert all(entry["metadata"]["kedro-viz"]["preview_args"] == {"nrows": 40} for entry in tables)
