"""Where things stand: every module has its test, and no file outgrows a reader."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "irp_kedro"
TESTS = ROOT / "tests"
LONGEST = 300

# Nothing is computed in these; smoke tests run them, and the other conventions read what they wire.
WIRING = {"__init__.py", "__main__.py", "settings.py", "pipeline_registry.py"}

# Inner rooms, tested through the one door that leads to them.
TESTED_THROUGH = {
    "commands/calibrate.py": "smoke/test_calibrate_command.py",
    "commands/export.py": "smoke/test_score_command.py",
    "commands/grid.py": "smoke/test_grid_command.py",
    "commands/lineage.py": "smoke/test_lineage_commands.py",
    "commands/score.py": "smoke/test_score_command.py",
    "commands/shared.py": "test_cli.py",
    "grid/axes.py": "grid/test_cells.py",
    "grid/overrides.py": "grid/test_cells.py",
    "lineage/pointer.py": "lineage/test_store.py",
    "datasets/archive_safety.py": "datasets/test_archive.py",
    "datasets/image_files.py": "datasets/test_image_folder.py",
    "datasets/mvtec_addresses.py": "datasets/test_mvtec_ad.py",
    "datasets/partial_file.py": "datasets/test_download.py",
    "datasets/sample_surface.py": "datasets/test_sample.py",
    "datasets/sources.py": "test_hooks.py",
    "reporting/cell_tables.py": "reporting/test_cell_page.py",
}


def is_wiring(module: Path) -> bool:
    in_pipelines = module.parts[0] == "pipelines"
    return (
        str(module) in WIRING or module.name == "__init__.py" or (in_pipelines and module.name == "pipeline.py")
    )


MODULES = sorted(path.relative_to(SOURCE) for path in SOURCE.rglob("*.py"))
TESTED = [module for module in MODULES if not is_wiring(module)]


def places(module: Path) -> list[str]:
    """Return the patterns, below tests/, of which one must have a file for ``module``.

    Test files need basenames of their own, so a name that stands in two folders may carry a prefix.
    """
    if module.as_posix() in TESTED_THROUGH:
        return [TESTED_THROUGH[module.as_posix()]]
    if module.parts[0] == "pipelines":
        name = module.parts[1]
        return [f"pipelines/test_*{name}*.py", f"pipelines/{name}/test_*.py"]
    folder = module.parent.as_posix()
    return [f"{folder}/test_{module.stem}.py", f"{folder}/test_*_{module.stem}.py"]


@pytest.mark.parametrize("module", TESTED, ids=str)
def test_every_module_has_a_test_file_in_the_same_place(module: Path) -> None:
    assert any(list(TESTS.glob(place)) for place in places(module)), f"none of {places(module)} below tests/"


def test_the_exceptions_are_modules_that_exist() -> None:
    names = {module.as_posix() for module in MODULES}
    assert names >= WIRING
    assert names >= TESTED_THROUGH.keys()


def test_test_files_have_names_of_their_own() -> None:
    # Without packages in tests/, pytest imports two files of one name as the same module.
    names = [path.name for path in TESTS.rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_no_source_file_is_longer_than_a_reader_can_hold(module: Path) -> None:
    lines = len((SOURCE / module).read_text(encoding="utf-8").splitlines())
    assert lines <= LONGEST, f"{lines} lines; split it by what it is about"
