"""Small chains of snapshots, saved as the refinement node saves them, in real git and DVC repositories."""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from irp_kedro.core.records import removal_log
from irp_kedro.core.refinement import RefinementCycle
from irp_kedro.core.removal import Decision
from irp_kedro.lineage.contents import list_source_images
from irp_kedro.lineage.finding import Snapshot, find_snapshots
from irp_kedro.lineage.record import LineageRecord, Provenance
from irp_kedro.lineage.saving import SnapshotContent, save_snapshot
from irp_kedro.lineage.store import LineageStore, StoreSettings, open_store

RULE = {"policy": "all_above", "scoring": "held_out", "detector": "differnet", "judge": "gaussian"}
FILES = {"a": "good/a.png", "b": "good/b.png", "c": "good/c.png", "d": "bad/d.png", "e": "bad/e.PNG"}
# Who leaves and who returns: nobody before cycle 1, then e, then d, then nobody; e returns, and the loop ends.
STORY = (("", ""), ("e", ""), ("d", ""), ("", ""), ("", "e"))


def write_images(folder: Path, content: str = "") -> pd.DataFrame:
    """Write the images a to e, each of its own letter and what ``content`` adds, and return their manifest."""
    digests = []
    for image_id, name in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(image_id + content)
        digests.append(hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest())
    paths = [(folder / name).as_posix() for name in FILES.values()]
    return pd.DataFrame({"image_id": list(FILES), "path": paths, "digest": digests})


class Chain:
    """The snapshots of one strategy, saved cycle by cycle; image ids are letters.

    Args:
        root: ``lineage.root``.
        training: manifest of cycle 0.
        name: ``cell/strategy``.
        mode: of the store.
        link: of the store.
        tree_every: keep every k-th set as an object of its own.
    """

    def __init__(
        self,
        root: Path,
        training: pd.DataFrame,
        name: str = "cell/iterative_refinement",
        *,
        mode: Any = "dvc",
        link: Any = "copy",
        tree_every: int = 1,
    ) -> None:
        self.root, self.folder = root, root / name
        self.training, self.images = training, list_source_images(training)
        self.mode, self.link, self.tree_every = mode, link, tree_every
        self.cycles: list[RefinementCycle] = []
        self._store: LineageStore | None = None
        self.run = "first run"
        self.model = "0123456789abcdef"

    @property
    def store(self) -> LineageStore:
        return self._store or open_store(self.root, StoreSettings(mode=self.mode, link=self.link))

    @property
    def stores(self) -> dict[str, LineageStore]:
        return {self.mode: self.store}

    @property
    def snapshots(self) -> list[Snapshot]:
        return [found for found in find_snapshots(self.root) if found.folder.parent == self.folder]

    def copied_to(self, root: Path) -> "Chain":
        """Copy records and pointers; what lies in a cache is shared, and DVC need not open it again."""
        shutil.copytree(self.root, root)
        other = copy(self)
        other.root, other.folder = root, root / self.folder.relative_to(self.root)
        other._store = self.store
        return other

    def save(
        self, cycle: int, *, removed: str = "", restored: str = "", stop: str = "", score: float | None = None
    ) -> LineageRecord:
        """Save a cycle in which the images ``removed`` left, worst first, and those ``restored`` returned."""
        content = self.content(cycle, removed=removed, restored=restored, stop=stop, score=score)
        return save_snapshot(self.folder, content, self.store, mode=self.mode, tree_every=self.tree_every)

    def tell(self, story: Sequence[tuple[str, str]] = STORY) -> list[LineageRecord]:
        """Save a whole chain: who leaves and who returns in each cycle."""
        return [
            self.save(cycle, removed=removed, restored=restored, stop="patience" * (cycle == len(story) - 1))
            for cycle, (removed, restored) in enumerate(story)
        ]

    def content(
        self, cycle: int, *, removed: str = "", restored: str = "", stop: str = "", score: float | None = None
    ) -> SnapshotContent:
        blind = list(self.training["image_id"])[::-1]  # the loop has an order of its own
        before = list(self.cycles[cycle - 1].kept) if cycle else blind
        record = RefinementCycle(
            cycle=cycle,
            kept=tuple([image_id for image_id in before if image_id not in removed] + list(restored)),
            decisions=(*decide(cycle, "removed", removed, score), *decide(cycle, "restored", restored, score)),
            judged={},
            losses=(),
            epochs=cycle,
            stop=stop,
            final_scores={},
        )
        self.cycles[cycle:] = [record]
        return SnapshotContent(
            strategy=self.folder.name,
            cycle=record,
            removals=removal_log([record], self.training, **RULE),
            images=self.images,
            model=self.model if stop else "",
            provenance=provenance(cell=self.folder.parent.name, run=self.run),
        )


def decide(cycle: int, action: str, image_ids: str, score: float | None) -> list[Decision]:
    """Score the images 9, 8, 7, … or all the same."""
    scores = [9.0 - place if score is None else score for place in range(len(image_ids))]
    return [
        Decision(
            cycle=cycle,
            action=action,
            image_id=image_id,
            digest="",
            score=scored,
            median_score=1.0,
            threshold=2.0,
        )
        for image_id, scored in zip(image_ids, scores, strict=True)
    ]


def provenance(**changed: Any) -> Provenance:
    """Return where the snapshots of every test come from, but for what is ``changed``."""
    usual: dict[str, Any] = {
        "run": "first run",
        "cell": "cell",
        "content": "source",
        "parameters": "620923ad",
        "source_manifest": "1" * 16,
        "contamination_record": "2" * 16,
        "feature_bank": "3" * 16,
        "code_revision": "4" * 40,
        "code_changed": False,
        "code": "5" * 16,
        "device": "cpu",
        "versions": {"python": "3.11"},
    }
    return Provenance(**usual | changed)


def call(*command: str, folder: Path) -> str:
    """Run a command in ``folder`` and return what it printed."""
    words = [sys.executable, "-m", "dvc", *command[1:]] if command[0] == "dvc" else command
    done = subprocess.run(words, cwd=folder, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
    return done.stdout


@contextmanager
def settings_of_its_own(folder: Path) -> Iterator[None]:
    """Let git and DVC see neither the settings nor the caches of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("DVC_SITE_CACHE_DIR", "DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR"):
            patch.setenv(variable, str(folder / variable.lower()))
        patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        for person in ("AUTHOR", "COMMITTER"):
            patch.setenv(f"GIT_{person}_NAME", "Somebody")
            patch.setenv(f"GIT_{person}_EMAIL", "somebody@example.org")
        yield


@pytest.fixture(scope="module", autouse=True)
def apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with settings_of_its_own(tmp_path_factory.mktemp("settings")):
        yield


@pytest.fixture(scope="session")
def fresh_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What git init and dvc init make; to be copied, since DVC takes most of a second to start."""
    folder = tmp_path_factory.mktemp("fresh") / "repository"
    folder.mkdir()
    with settings_of_its_own(folder.parent):
        call("git", "init", "--quiet", folder=folder)
        call("dvc", "init", "--quiet", folder=folder)
    (folder / ".dvc" / "config").write_text("[core]\n    analytics = false\n    check_update = false\n")
    return folder


@pytest.fixture(scope="session")
def make_repository(fresh_repository: Path) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        return Path(shutil.copytree(fresh_repository, folder))

    return make


@pytest.fixture
def repository(tmp_path: Path, make_repository: Callable[[Path], Path]) -> Path:
    """A git and DVC repository without a commit."""
    return make_repository(tmp_path / "repository")


@pytest.fixture
def training(tmp_path: Path) -> pd.DataFrame:
    """The images a to e, outside the repository."""
    return write_images(tmp_path / "images")


@pytest.fixture
def chain(repository: Path, training: pd.DataFrame) -> Chain:
    """A chain in DVC's cache, without a cycle."""
    return Chain(repository / "lineage", training)


@pytest.fixture
def plain_chain(tmp_path: Path, training: pd.DataFrame) -> Chain:
    """A chain of plain files, without a cycle."""
    return Chain(tmp_path / "lineage", training, mode="plain")


@pytest.fixture(scope="module", params=["dvc", "plain"])
def finished(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    make_repository: Callable[[Path], Path],
) -> Chain:
    """A whole chain of either mode, to be read only."""
    folder = tmp_path_factory.mktemp("finished")
    repository = make_repository(folder / "repository")
    chain = Chain(repository / "lineage", write_images(folder / "images"), mode=request.param)
    chain.tell()
    return chain


@pytest.fixture(scope="session")
def new_chain() -> type[Chain]:
    """To make chains with settings of their own."""
    return Chain


@pytest.fixture(scope="session")
def new_images() -> Callable[..., pd.DataFrame]:
    """To write images of other bytes than the usual ones."""
    return write_images


@pytest.fixture(scope="session")
def stated() -> Callable[..., Provenance]:
    return provenance


@pytest.fixture(scope="session")
def shell() -> Callable[..., str]:
    """Runs git or DVC in a folder."""
    return call


@pytest.fixture
def cached(repository: Path) -> Callable[[], dict[str, bytes]]:
    """Reads the objects in DVC's cache, by hash."""

    def read() -> dict[str, bytes]:
        objects = (repository / ".dvc" / "cache" / "files" / "md5").glob("*/*")
        return {path.parent.name + path.name: path.read_bytes() for path in objects}

    return read
