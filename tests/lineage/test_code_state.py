import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import irp_kedro
from irp_kedro.lineage.code_state import code_state, source_digest

FILES = ("src/irp_kedro/loop.py", "conf/base/parameters.yml", "pyproject.toml", "docs/notes.md", "data/a.dvc")
CODE = FILES[:3]


def write_project(folder: Path) -> Path:
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


@pytest.fixture(params=["", "tools/refinement"], ids=["project is repository", "project is a folder in it"])
def project(request: pytest.FixtureRequest, tmp_path: Path, shell: Callable[..., str]) -> Path:
    """The folder of a project whose files are committed; the repository may be larger."""
    folder = write_project(tmp_path / "repository" / request.param)
    shell("git", "init", "--quiet", str(tmp_path / "repository"), folder=folder)
    shell("git", "add", ".", folder=folder)
    shell("git", "commit", "--quiet", "--message", "all", folder=folder)
    return folder


def state(project: Path) -> tuple[str, bool | None]:
    return code_state(project / "src" / "irp_kedro")


def test_the_revision_is_the_last_commit(project: Path, shell: Callable[..., str]) -> None:
    assert state(project) == (shell("git", "rev-parse", "HEAD", folder=project).strip(), False)


@pytest.mark.parametrize("name", CODE)
def test_an_edit_of_code_or_configuration_is_a_change(
    project: Path, shell: Callable[..., str], name: str
) -> None:
    (project / name).write_text("edited")
    assert state(project)[1] is True
    shell("git", "add", ".", folder=project)
    assert state(project)[1] is True


def test_a_file_of_code_that_is_new_or_gone_is_a_change(project: Path) -> None:
    new = project / "src" / "irp_kedro" / "new.py"
    new.touch()
    assert state(project)[1] is True
    new.unlink()
    assert state(project)[1] is False
    (project / CODE[0]).unlink()
    assert state(project)[1] is True


def test_notes_and_results_are_no_change(project: Path, shell: Callable[..., str]) -> None:
    for name in FILES[3:]:
        (project / name).write_text("edited")
    (project / "docs" / "new.md").touch()
    assert state(project)[1] is False
    shell("git", "add", ".", folder=project)
    assert state(project)[1] is False


def test_names_that_only_begin_like_code_are_no_change(project: Path) -> None:
    for name in ("conference.md", "srcs.txt", "pyproject.toml.orig"):
        (project / name).touch()
    assert state(project)[1] is False


def test_a_package_at_the_top_of_a_repository_is_code_too(tmp_path: Path, shell: Callable[..., str]) -> None:
    package = tmp_path / "repository" / "irp_kedro"
    package.mkdir(parents=True)
    (package / "loop.py").write_text("as committed")
    shell("git", "init", "--quiet", str(package.parent), folder=package)
    shell("git", "add", ".", folder=package)
    shell("git", "commit", "--quiet", "--message", "all", folder=package)
    revision = shell("git", "rev-parse", "HEAD", folder=package).strip()
    assert code_state(package) == (revision, False)
    (package / "loop.py").write_text("edited")
    assert code_state(package) == (revision, True)


def test_code_in_no_repository_has_no_revision(tmp_path: Path) -> None:
    assert state(write_project(tmp_path)) == ("", None)


def test_code_that_was_never_committed_has_no_revision(tmp_path: Path, shell: Callable[..., str]) -> None:
    shell("git", "init", "--quiet", folder=write_project(tmp_path))
    assert state(tmp_path) == ("", None)


def test_code_installed_where_the_repository_ignores_it_has_no_revision(project: Path) -> None:
    (project / ".gitignore").write_text(".venv/\n")
    installed = project / ".venv" / "lib" / "irp_kedro"
    installed.mkdir(parents=True)
    assert code_state(installed) == ("", None)


def test_the_digest_of_the_source_follows_every_file_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = [source_digest()]
    copy = tmp_path / "irp_kedro"
    shutil.copytree(Path(irp_kedro.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(irp_kedro, "__file__", str(copy / "__init__.py"))
    assert source_digest() == digests[0]
    (copy / "notes.md").touch()
    assert source_digest() == digests[0]
    loop, new = copy / "core" / "refinement.py", copy / "new.py"
    loop.write_text("edited")
    digests.append(source_digest())
    loop.rename(copy / "core" / "loop.py")
    digests.append(source_digest())
    new.touch()
    digests.append(source_digest())
    new.unlink()
    assert source_digest() == digests[2]
    assert len(set(digests)) == 4
