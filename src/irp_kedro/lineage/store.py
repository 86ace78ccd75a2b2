"""Where the objects of a snapshot lie: in DVC's cache behind pointers, or beside the record as plain files."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, Protocol

from irp_kedro.errors import LineageError
from irp_kedro.lineage.contents import StoredImage
from irp_kedro.lineage.pointer import file_md5, md5, read_pointer, write_pointer
from irp_kedro.lineage.record import CONTENTS, IMAGES, REMOVALS
from irp_kedro.lineage.tree import digests_in, tree_of

logger = logging.getLogger(__name__)
LEFT_BY_A_KILL = ".*\n!.gitignore\n"
DVC_INIT = "make one (git init; dvc init), or keep plain files: --params lineage.mode=plain"


class LineageStore(Protocol):
    """Keeps and finds the objects of snapshots; a snapshot is known by its folder.

    Attributes:
        ignored: what git must not track beside pointers and records, as lines of a ``.gitignore``.
    """

    ignored: str

    def keep_images(self, images: Sequence[StoredImage]) -> None:
        """Make sure that every image can be restored later; those already kept are not read again."""

    def keep_tree(self, folder: Path, digests: Mapping[str, str], *, size: int) -> str:
        """Keep a set of images, name: MD5, as the set of the snapshot in ``folder``, and return its hash."""

    def keep_file(self, folder: Path, name: str, content: bytes) -> str:
        """Keep a small file with the snapshot in ``folder`` and return its MD5."""

    def read_tree(self, folder: Path) -> dict[str, str]:
        """Return the set of the snapshot in ``folder``, name: MD5."""

    def read_file(self, folder: Path, name: str) -> bytes:
        """Return a small file of the snapshot in ``folder``."""

    def locate(self, image: StoredImage) -> Path:
        """Return where the bytes of an image lie now; whether they are right is for the caller to check."""


class PlainStore:
    """Lists and removals beside the record; images stay where they are."""

    ignored = LEFT_BY_A_KILL

    def keep_images(self, images: Sequence[StoredImage]) -> None:
        """Nothing is copied: an image can be restored as long as its source file is there."""

    def keep_tree(self, folder: Path, digests: Mapping[str, str], *, size: int) -> str:
        """Write the list of the set, in DVC's format."""
        tree = tree_of(digests)
        (folder / f"{IMAGES}.json").write_bytes(tree.as_bytes())
        return str(tree.oid)

    def keep_file(self, folder: Path, name: str, content: bytes) -> str:
        """Write the file."""
        (folder / name).write_bytes(content)
        return md5(content)

    def read_tree(self, folder: Path) -> dict[str, str]:
        """Read the list of the set."""
        return _listed(self.read_file(folder, f"{IMAGES}.json"), folder / f"{IMAGES}.json")

    def read_file(self, folder: Path, name: str) -> bytes:
        """Read the file."""
        try:
            return (folder / name).read_bytes()
        except FileNotFoundError as error:
            raise LineageError(f"'{folder / name}' is missing.") from error

    def locate(self, image: StoredImage) -> Path:
        """Return the source file."""
        return Path(image.path)


class DvcStore:
    """Objects in DVC's cache, and beside the record a ``.dvc`` pointer to each of them.

    Uses DVC's object API rather than ``dvc add``: a set is kept from digests already known, so no image is
    read, linked or copied for a snapshot, and no lock on the repository is taken.

    Args:
        repo: an open ``dvc.repo.Repo``.
        link: how an image enters the cache: ``copy`` (reflink where the file system can) or ``hardlink``.
    """

    ignored = f"{IMAGES}/\n{REMOVALS}\n{CONTENTS}\n{LEFT_BY_A_KILL}"  # what dvc checkout would write

    def __init__(self, repo: Any, *, link: Literal["copy", "hardlink"] = "copy") -> None:  # noqa: ANN401
        self._objects = repo.cache.local
        self._link = link

    def keep_images(self, images: Sequence[StoredImage]) -> None:
        """Bring into the cache what it lacks, checking that each file still has the MD5 it was known by.

        Raises:
            LineageError: a file is gone or was changed since ingestion, or the cache takes no file.
        """
        new = {image.digest: image for image in images if not self._is_kept(image.digest)}
        if not new:
            return
        total = sum(image.size for image in new.values())
        logger.info("DVC cache: keeping %d images (%.1f MB), once", len(new), total / 1e6)
        placed, refused = self._place(new)
        if refused:
            raise LineageError(f"{len(refused)} images cannot be kept in DVC's cache: {refused[0]}")
        wrong = sorted(image.path for digest, image in new.items() if digest not in placed)
        if wrong:
            raise LineageError(
                f"{len(wrong)} images are gone or have changed since ingestion read them (first: {wrong[0]}). "
                "Run again from the start: kedro run"
            )

    def _place(self, new: Mapping[str, StoredImage]) -> tuple[set[str], list[BaseException]]:
        """Return which digests are in the cache now, and what kept others out but that their source is gone.

        Each file is brought beside its place, checked, made read-only and renamed, so that neither a kill nor
        another run that keeps the same image leaves half of one. (DVC reflinks in place, from an empty file.)
        """
        from dvc_objects.fs import generic, localfs
        from dvc_objects.fs.utils import tmp_fname

        places = {digest: self.object_path(digest) for digest in new}
        asides = {digest: place.with_name(tmp_fname()) for digest, place in places.items()}
        for folder in {place.parent for place in places.values()}:
            self._objects.makedirs(folder.as_posix())
        failed: list[BaseException] = []
        generic.transfer(
            localfs,
            [image.path for image in new.values()],
            localfs,
            [asides[digest].as_posix() for digest in new],
            hardlink=self._link == "hardlink",
            on_error=lambda _, __, error: failed.append(error),
        )
        placed = set()
        for digest, aside in asides.items():
            if aside.exists() and file_md5(aside) == digest:
                self._objects.protect(aside.as_posix())
                aside.replace(places[digest])
                placed.add(digest)
            aside.unlink(missing_ok=True)
        return placed, [error for error in failed if not isinstance(error, FileNotFoundError)]

    def keep_tree(self, folder: Path, digests: Mapping[str, str], *, size: int) -> str:
        """Keep a directory object and write its pointer."""
        tree = tree_of(digests)
        self._keep(tree.oid, tree.as_bytes())
        pointer = {"md5": tree.oid, "size": size, "nfiles": len(digests), "hash": "md5", "path": IMAGES}
        write_pointer(folder, pointer)
        return str(tree.oid)

    def keep_file(self, folder: Path, name: str, content: bytes) -> str:
        """Keep a file object and write its pointer."""
        digest = md5(content)
        self._keep(digest, content)
        write_pointer(folder, {"md5": digest, "size": len(content), "hash": "md5", "path": name})
        return digest

    def read_tree(self, folder: Path) -> dict[str, str]:
        """Read the directory object that the pointer names."""
        return _listed(self.read_file(folder, IMAGES), folder / f"{IMAGES}.dvc")

    def read_file(self, folder: Path, name: str) -> bytes:
        """Read the object that the pointer of ``name`` names, and check it.

        Raises:
            LineageError: the pointer or its object is missing, or the object does not have its MD5.
        """
        pointer = read_pointer(folder, name)
        path = self.object_path(pointer)
        try:
            content = path.read_bytes()
        except FileNotFoundError as error:
            raise LineageError(
                f"DVC's cache lacks '{name}' of '{folder}'. "
                f"Bring it from a remote: dvc fetch {folder / name}.dvc"
            ) from error
        if md5(content) != pointer.removesuffix(".dir"):
            raise LineageError(
                f"The object of '{name}' of '{folder}' in DVC's cache is damaged. Delete '{path}', then: "
                f"dvc fetch {folder / name}.dvc"
            )
        return content

    def locate(self, image: StoredImage) -> Path:
        """Return the image's object in the cache."""
        return self.object_path(image.digest)

    def object_path(self, digest: str) -> Path:
        """Return where DVC keeps the object of a hash."""
        return Path(self._objects.oid_to_path(digest))

    def _keep(self, digest: str, content: bytes) -> None:
        if not self._is_kept(digest):
            self._objects.add_bytes(digest, content)  # written aside and renamed by DVC
            self._objects.protect(self._objects.oid_to_path(digest))

    def _is_kept(self, digest: str) -> bool:
        """Return whether the cache has an object whole.

        DVC makes an object read-only when it is whole, so that only the others need be read.
        """
        if not self._objects.exists(digest):
            return False
        place = self.object_path(digest)
        if self._objects.is_protected(place.as_posix()):
            return True
        if file_md5(place) != digest.removesuffix(".dir"):
            return False
        self._objects.protect(place.as_posix())
        return True


def _listed(content: bytes, source: Path) -> dict[str, str]:
    try:
        return digests_in(content)
    except ValueError as error:
        raise LineageError(f"'{source}' holds no set of images: {error}") from error


@dataclass(frozen=True, kw_only=True)
class StoreSettings:
    """What decides where objects lie."""

    mode: Literal["dvc", "plain"] = "dvc"
    link: Literal["copy", "hardlink"] = "copy"


def open_store(root: Path, settings: StoreSettings) -> LineageStore:
    """Return the store for snapshots below ``root``.

    Raises:
        LineageError: DVC is asked for, and ``root`` lies in no DVC repository, or where git ignores it.
    """
    if settings.mode == "plain":
        return PlainStore()
    return DvcStore(_open_repo(_dvc_folder(root), root), link=settings.link)


def _dvc_folder(root: Path) -> Path:
    for folder in (root, *root.parents):
        if (folder / ".dvc").is_dir():
            return folder
    raise LineageError(
        f"lineage.root '{root}' lies in no DVC repository: {DVC_INIT}. The default, data/lineage, lies in this "
        "project, which is one."
    )


@cache
def _open_repo(folder: Path, root: Path) -> Any:  # noqa: ANN401 - DVC has no types
    """Open a repository once a process; without git too, since a copy of the project may have none."""
    from dvc.repo import Repo
    from dvc.scm import SCMError

    try:
        repo = Repo(folder.as_posix())
        repo.scm  # noqa: B018 - looks for git
    except SCMError:
        logger.warning(
            "'%s' is no git repository: snapshots are kept in DVC's cache all the same, but nobody keeps the "
            "history of their pointers. To change that: git init",
            folder,
        )
        repo = Repo(folder.as_posix(), config={"core": {"no_scm": True}})
    pointer = (root / "cell" / "strategy" / "cycle_000" / f"{IMAGES}.dvc").as_posix()
    by_git, by_dvc = repo.scm.is_ignored(pointer), repo.dvcignore.is_ignored_file(pointer)
    if by_git or by_dvc:
        name, file = ("git", ".gitignore") if by_git else ("DVC", ".dvcignore")
        raise LineageError(
            f"{name} ignores what lies in lineage.root '{root}', and DVC skips such pointers without a word: "
            f"dvc push and dvc gc would lose the snapshots. Let {file} except it, or choose another folder."
        )
    return repo
