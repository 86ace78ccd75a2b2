from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from irp_kedro.lineage.store import StoreSettings, file_md5, md5, open_store
from irp_kedro.lineage.tree import digests_in, tree_of

FILES = {"b.png": b"second", "a.png": b"first", "B.png": b"", "a-1.png": b"first", "\u50b7.png": bytes(300)}
TREES = st.dictionaries(
    st.text(st.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1),
    st.binary(max_size=2).map(md5),
)


@pytest.fixture(scope="module")
def added(
    tmp_path_factory: pytest.TempPathFactory,
    make_repository: Callable[[Path], Path],
    shell: Callable[..., str],
) -> Path:
    """A repository in which DVC itself has added a folder and a file."""
    repository = make_repository(tmp_path_factory.mktemp("added") / "repository")
    (repository / "images").mkdir()
    for name, content in FILES.items():
        (repository / "images" / name).write_bytes(content)
    (repository / "removals.csv").write_bytes(b"cycle,image_id\n")
    shell("dvc", "add", "--quiet", "images", "removals.csv", folder=repository)
    return repository


@pytest.fixture
def store(added: Path) -> Any:
    return open_store(added / "lineage", StoreSettings())


def digests() -> dict[str, str]:
    return {name: md5(content) for name, content in FILES.items()}


def test_a_set_has_the_hash_and_the_bytes_that_dvc_gives_a_folder_of_its_files(added: Path, store: Any) -> None:
    tree = tree_of(digests())
    assert f"md5: {tree.oid}\n" in (added / "images.dvc").read_text()
    assert store.object_path(tree.oid).read_bytes() == tree.as_bytes()


def test_the_pointer_of_a_set_is_byte_for_byte_that_of_dvc_add(added: Path, store: Any, tmp_path: Path) -> None:
    store.keep_tree(tmp_path, digests(), size=sum(map(len, FILES.values())))
    assert (tmp_path / "images.dvc").read_bytes() == (added / "images.dvc").read_bytes()


def test_the_pointer_of_a_file_is_byte_for_byte_that_of_dvc_add(
    added: Path, store: Any, tmp_path: Path
) -> None:
    digest = store.keep_file(tmp_path, "removals.csv", b"cycle,image_id\n")
    assert digest == file_md5(added / "removals.csv")
    assert (tmp_path / "removals.csv.dvc").read_bytes() == (added / "removals.csv.dvc").read_bytes()


@settings(max_examples=50, deadline=None)
@given(TREES, st.randoms())
def test_the_order_of_the_images_does_not_matter(tree: dict[str, str], chance: Any) -> None:
    shuffled = list(tree.items())
    chance.shuffle(shuffled)
    assert tree_of(dict(shuffled)).as_bytes() == tree_of(tree).as_bytes()
    assert tree_of(dict(shuffled)).oid == tree_of(tree).oid


@settings(max_examples=50, deadline=None)
@given(TREES)
def test_names_and_digests_come_back_from_the_bytes_of_a_set(tree: dict[str, str]) -> None:
    assert digests_in(tree_of(tree).as_bytes()) == tree


def test_sets_of_other_names_or_other_images_have_other_hashes() -> None:
    first, second = md5(b"first"), md5(b"second")
    sets = [
        {},
        {"a": first},
        {"b": first},
        {"a": second},
        {"a": first, "b": second},
        {"a": second, "b": first},
    ]
    assert len({tree_of(tree).oid for tree in sets}) == len(sets)
