"""Kedro's project settings."""

from irp_kedro.config_loader import CellConfigLoader
from irp_kedro.hooks import LineageHooks, ParameterHooks, SummaryHooks

HOOKS = (ParameterHooks(), LineageHooks(), SummaryHooks())

CONFIG_LOADER_CLASS = CellConfigLoader
# Setting this drops Kedro's defaults, so all three stand here. "soft" keeps the keys of a group that an
# environment or --params does not name; Kedro's own default replaces the whole group.
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    "merge_strategy": {"parameters": "soft"},
}
