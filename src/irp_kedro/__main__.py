"""``python -m irp_kedro``: the same as ``kedro run`` in the project's folder."""

import sys
from pathlib import Path
from typing import Any

from kedro.framework.cli.utils import find_run_command
from kedro.framework.project import configure_project


def main(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - Kedro's entry point
    """Run the project's ``run`` command."""
    package_name = Path(__file__).parent.name
    configure_project(package_name)
    run = find_run_command(package_name)
    interactive = hasattr(sys, "ps1")
    kwargs.setdefault("standalone_mode", not interactive)
    return run(*args, **kwargs)


if __name__ == "__main__":
    main()
