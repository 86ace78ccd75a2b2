"""The revision of the code that ran, and whether it was changed since."""

import hashlib
from pathlib import Path

from scmrepo.exceptions import SCMError
from scmrepo.git import Git

import irp_kedro

# What a result depends on; notes, results and pointers may change without changing the code.
CODE = ("src", "conf", "pyproject.toml")


def code_state(folder: Path | None = None) -> tuple[str, bool | None]:
    """Return the revision of the repository around ``folder``, and whether its code differs from it.

    Args:
        folder: ``src/<package>`` of a project inside the repository; by default that of this package.

    Returns:
        ``("", None)`` where there is no repository, no commit, or the folder is not part of it.
    """
    here = folder or Path(irp_kedro.__file__).parent
    try:
        git = Git(here.as_posix(), search_parent_directories=True)
    except SCMError:
        return "", None
    try:
        # Installed into the virtual environment of some other repository, the code is not that repository's.
        if git.no_commits or git.is_ignored(here.as_posix()):
            return "", None
        staged, unstaged, untracked = git.status(untracked_files="all")
        changed = [*(path for paths in staged.values() for path in paths), *unstaged, *untracked]
        return git.get_rev(), any(
            _is_code(path, Path(git.root_dir).resolve(), here.resolve()) for path in changed
        )
    finally:
        git.close()


def source_digest() -> str:
    """Return 16 hex digits that identify the source files of this package, committed or not."""
    package = Path(irp_kedro.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _is_code(path: str | bytes, root: Path, package: Path) -> bool:
    file = root / (path.decode() if isinstance(path, bytes) else path)
    project = package.parents[1]
    return any(file.is_relative_to(place) for place in (package, *(project / name for name in CODE)))
