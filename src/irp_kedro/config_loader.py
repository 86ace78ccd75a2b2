"""Kedro's configuration loader, with the paths of the catalog following from the checked parameters.

Catalog paths cannot see parameters. ``${cell:}``, ``${data_root:}``, ``${grid:}``, ``${lineage_folder:}``
and ``${lineage:key}`` are resolvers that can; they are made here and not in a hook because kedro-viz reads the
catalog with hooks switched off.
"""

from functools import partial
from pathlib import Path
from typing import Any

from kedro.config import OmegaConfigLoader
from omegaconf import OmegaConf

from irp_kedro.datasets.review_file import read_review
from irp_kedro.datasets.sources import check_source_name
from irp_kedro.detectors.registry import check_detector_name
from irp_kedro.naming import cell_name
from irp_kedro.parameters import Parameters, check_parameters


class CellConfigLoader(OmegaConfigLoader):
    """Checks every parameter before it hands out the catalog, and names the cell in its paths."""

    def __getitem__(self, key: str) -> dict[str, Any]:
        """Return a type of configuration.

        Raises:
            ParameterError: the catalog was asked for and a parameter is wrong; names every fault at once.
        """
        if key == "catalog":
            parameters = checked(super().__getitem__("parameters"))
            # Kedro makes a relative path absolute by the project's folder.
            data_root = Path(parameters.data_root).expanduser()
            name = cell_name(parameters)
            resolvers: dict[str, Any] = {
                "data_root": data_root.as_posix,
                "cell": lambda: parameters.cell or name,
                "grid": lambda: parameters.grid or "no_grid",
                # Lineage keeps every experiment apart, also where `cell` gives all of them one folder of files.
                "lineage_folder": (Path(parameters.lineage.root).expanduser() / name).as_posix,
                "lineage": partial(getattr, parameters.lineage),
            }
            for key_word, resolver in resolvers.items():
                OmegaConf.register_new_resolver(key_word, resolver, replace=True)
        configuration: dict[str, Any] = super().__getitem__(key)
        return configuration


def checked(raw: dict[str, Any]) -> Parameters:
    """Return the parameters, or refuse them before anything is computed.

    Raises:
        ParameterError: an unknown key, a bad value, or a source, detector or judge that does not exist.
        ReviewError: the review is missing or malformed.
    """
    parameters = check_parameters(raw)
    check_source_name(parameters.dataset.name)
    check_detector_name(parameters.detector)
    for judge in parameters.refinement.judge:
        check_detector_name(judge, "refinement.judge")
    for judge in parameters.refinement.alone:
        check_detector_name(judge, "refinement.alone")
    read_review(parameters.refinement.review)
    return parameters
