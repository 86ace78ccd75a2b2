"""Kedro hooks: check every parameter before anything runs, name the cell, print the summary at the end."""

from functools import partial
from pathlib import Path

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from omegaconf import OmegaConf

from irp_kedro.datasets.sources import check_source_name
from irp_kedro.detectors.registry import check_detector_name
from irp_kedro.parameters import Parameters, cell_name, check_parameters


class ParameterHooks:
    """Validate the merged parameters and let the catalog's paths follow from them.

    Catalog paths cannot see parameters; ``${cell:}`` and ``${data_root:}`` are resolvers that can.
    """

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Refuse bad parameters, then register this run's resolvers.

        Raises:
            ParameterError: naming every fault at once.
        """
        parameters = check_parameters(context.config_loader["parameters"])
        check_names(parameters)
        data_root = context.project_path / Path(parameters.data_root).expanduser()
        OmegaConf.register_new_resolver("cell", partial(cell_name, parameters), replace=True)
        OmegaConf.register_new_resolver("data_root", data_root.as_posix, replace=True)


class SummaryHooks:
    """Show the strategies side by side when a run that made the summary ends."""

    @hook_impl
    def after_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Print the table and where to find the rest."""
        if "summary_table" not in pipeline.all_outputs():
            return
        from rich.console import Console

        from irp_kedro.reporting.tables import as_terminal_table

        console = Console()
        console.print(as_terminal_table(catalog.load("summary_table")))
        console.print(f"Report: {getattr(catalog['report'], '_filepath', '')}", soft_wrap=True, highlight=False)


def check_names(parameters: Parameters) -> None:
    """Refuse sources, detectors and judges that do not exist.

    Raises:
        ParameterError: with the nearest known name.
    """
    check_source_name(parameters.dataset.name)
    check_detector_name(parameters.detector)
    if parameters.refinement.judge:
        check_detector_name(parameters.refinement.judge, "refinement.judge")
