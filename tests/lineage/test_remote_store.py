"""What DVC's own commands make of snapshots: gc, push, and fetch in a clone."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from irp_kedro.errors import LineageError
from irp_kedro.lineage.finding import Snapshot, find_snapshots
from irp_kedro.lineage.restoring import restore
from irp_kedro.lineage.store import StoreSettings, open_store
from irp_kedro.lineage.verifying import verify

KEPT = ["abcde", "abcd", "abc", "abc", "abce"]
Shell = Callable[..., str]


def objects_in(cache: Path) -> set[str]:
    return {path.parent.name + path.name for path in (cache / "files" / "md5").glob("*/*")}


@pytest.fixture(scope="module")
def pushed(
    tmp_path_factory: pytest.TempPathFactory,
    make_repository: Callable[[Path], Path],
    new_images: Callable[..., pd.DataFrame],
    new_chain: Any,
    shell: Shell,
) -> Path:
    """A repository whose snapshots are committed, with ``remote`` beside it; the source images are gone."""
    folder = tmp_path_factory.mktemp("pushed")
    repository = make_repository(folder / "repository")
    with (repository / ".dvc" / "config").open("a") as config:
        config.write(f"    remote = there\n['remote \"there\"']\n    url = {folder / 'remote'}\n")
    chain = new_chain(repository / "lineage", new_images(folder / "images"), tree_every=3)
    new_chain(repository / "lineage", new_images(folder / "images" / "old", " too"), "cell/vanilla").save(0)
    chain.tell()
    for path in [path for path in folder.glob("images/**/*") if path.is_file()]:
        path.unlink()
    shell("git", "add", ".", folder=repository)
    shell("git", "commit", "--quiet", "--message", "snapshots", folder=repository)
    shell("dvc", "push", "--quiet", folder=repository)
    return repository


@pytest.fixture
def clone(pushed: Path, tmp_path: Path, shell: Shell) -> Path:
    shell("git", "clone", "--quiet", str(pushed), "clone", folder=tmp_path)
    return tmp_path / "clone"


def chain_in(repository: Path) -> list[Snapshot]:
    return [found for found in find_snapshots(repository / "lineage") if found.strategy != "vanilla"]


def assert_restored(repository: Path, target: Path) -> None:
    store = open_store(repository / "lineage", StoreSettings())
    for snapshot, kept in zip(chain_in(repository), KEPT, strict=True):
        restore(snapshot, store, target / snapshot.folder.name)
        files = {path.name: path.read_text() for path in (target / snapshot.folder.name).iterdir()}
        assert files == {f"{image_id}.png": image_id for image_id in kept}


def test_collecting_garbage_keeps_every_object_of_a_snapshot_and_no_other(
    pushed: Path, new_images: Callable[..., pd.DataFrame], new_chain: Any, shell: Shell, tmp_path: Path
) -> None:
    before = objects_in(pushed / ".dvc" / "cache")
    store = open_store(pushed / "lineage", StoreSettings())
    store.keep_file(tmp_path, "removals.csv", b"of a run that was replaced")
    assert len(objects_in(pushed / ".dvc" / "cache") - before) == 1
    shell("dvc", "gc", "--workspace", "--force", folder=pushed)
    assert objects_in(pushed / ".dvc" / "cache") == before
    assert verify(pushed / "lineage", {"dvc": store}).faults == ()
    assert_restored(pushed, tmp_path)


def test_a_clone_has_every_snapshot_after_a_fetch(clone: Path, shell: Shell, tmp_path: Path) -> None:
    shell("dvc", "fetch", "--quiet", folder=clone)
    store = open_store(clone / "lineage", StoreSettings())
    found = verify(clone / "lineage", {"dvc": store})
    assert (found.snapshots, found.images, found.faults) == (6, 10, ())
    assert_restored(clone, tmp_path / "restored")


def test_a_clone_without_objects_names_what_is_missing_and_restores_nothing(
    clone: Path, tmp_path: Path
) -> None:
    store = open_store(clone / "lineage", StoreSettings())
    faults = verify(clone / "lineage", {"dvc": store}).faults
    for snapshot in find_snapshots(clone / "lineage"):
        missing = f"{snapshot.name}: DVC's cache lacks 'removals.csv' of '{snapshot.folder}'. "
        assert f"{missing}Bring it from a remote: dvc fetch {snapshot.folder}/removals.csv.dvc" in faults
    with pytest.raises(LineageError, match=r"lacks 'contents\.csv'.*dvc fetch "):
        restore(chain_in(clone)[0], store, tmp_path / "restored")
    assert not (tmp_path / "restored").exists()


def test_doing_what_the_messages_say_is_enough_to_restore_a_snapshot(
    clone: Path, shell: Shell, tmp_path: Path
) -> None:
    store, commands = open_store(clone / "lineage", StoreSettings()), []
    while len(commands) < 5:
        try:
            restore(chain_in(clone)[1], store, tmp_path / "restored")
        except LineageError as error:
            commands.append(str(error).partition("dvc fetch ")[2])
            names = [str(path) for word in shlex.split(commands[-1]) for path in Path("/").glob(word[1:])]
            shell("dvc", "fetch", "--quiet", *names, folder=clone)
        else:
            break
    assert len(commands) > 1
    assert sorted(path.name for path in (tmp_path / "restored").iterdir()) == [f"{name}.png" for name in "abcd"]
