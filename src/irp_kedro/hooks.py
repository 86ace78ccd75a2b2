"""Kedro hooks: refuse what cannot end well before anything runs, print the summary at the end."""

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline

from irp_kedro.config_loader import checked


class ParameterHooks:
    """Check the merged parameters as soon as they are known."""

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Refuse bad parameters.

        Raises:
            ParameterError: naming every fault at once.
        """
        checked(context.config_loader["parameters"])


class LineageHooks:
    """Refuse a run whose snapshots could not be kept before it computes anything."""

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Open the store of every snapshot that this run would write.

        Raises:
            LineageError: there is no DVC repository around ``lineage.root``, or git ignores what lies there.
        """
        names = sorted(name for name in pipeline.all_outputs() if name.endswith(".snapshots"))
        if not names:
            return
        from irp_kedro.datasets.dvc_snapshot import DVCSnapshotDataset

        for dataset in map(catalog.get, names):
            if isinstance(dataset, DVCSnapshotDataset):
                dataset.open_store()


class SummaryHooks:
    """Show the strategies side by side when a run that made the summary ends."""

    @hook_impl
    def after_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Print the table and where to find the rest."""
        if "summary_table" not in pipeline.all_outputs():
            return
        from rich.console import Console

        from irp_kedro.reporting.tables import as_terminal_table, describe

        console, summary = Console(), catalog.load("summary_table")
        console.print(as_terminal_table(summary))
        console.print(describe(summary), soft_wrap=True, highlight=False)
        console.print("Snapshots and what left in each: kedro irp lineage", highlight=False)
        page = "report_page" if "report_page" in pipeline.all_outputs() else "report"
        console.print(f"Report: {getattr(catalog[page], '_filepath', '')}", soft_wrap=True, highlight=False)
