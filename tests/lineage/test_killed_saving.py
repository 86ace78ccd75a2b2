"""Runs that are killed, and runs that meet: what other processes see of a chain of snapshots."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from irp_kedro.errors import LineageError
from irp_kedro.lineage.restoring import restore
from irp_kedro.lineage.verifying import verify

HELPERS = Path(__file__).with_name("conftest.py")
TURNS = (("", ""), ("e", ""), ("d", "e"))

# Starts processes that write snapshots below FOLDER/repository, forked from one that has everything imported.
NURSERY = """
import collections, json, os, runpy, signal, sys, time, traceback
from itertools import count
from pathlib import Path
import dvc.repo

helpers, turns = runpy.run_path(sys.argv[1]), json.loads(sys.argv[2])

def chain_of(folder, text):
    return helpers["Chain"](folder / "repository" / "lineage", helpers["write_images"](folder / text, text))

def first_cycle(folder, text):
    chain_of(folder, text).save(0)
    print("saved", flush=True)
    time.sleep(600)

def again_and_again(folder, text):
    for number in count():
        chain_of(folder, f"{text}{number}").tell(turns)

def until_step(folder, text, kind, occurrence):
    chain, steps = chain_of(folder, text), collections.Counter()
    chain.store
    def step(event, _):
        if event.partition(".")[0] in ("open", "os", "shutil", "fcntl", "tempfile"):
            steps[event] += 1
            if event == kind and steps[event] == int(occurrence):
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(step)
    chain.tell(turns)
    print(json.dumps(steps), flush=True)

def slowly(folder, text):
    chain, steps = chain_of(folder, text), collections.Counter()
    chain.store
    def step(event, _):
        steps[event] += 1
        if event == "fcntl.ioctl" and steps[event] == 1:
            print("an image is half kept", flush=True)
            for _ in range(50):
                if not (folder / "go on").exists():
                    time.sleep(0.01)
        if event == "open" and steps["fcntl.ioctl"] and steps["os.remove"]:
            os.kill(os.getpid(), signal.SIGKILL)
    steps["os.remove"] = 0
    sys.addaudithook(step)
    chain.save(0)

for line in sys.stdin:
    task, folder, *words = line.split()
    child = os.fork()
    if child == 0:
        try:
            globals()[task](Path(folder), *words)
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        os._exit(1)
    print(child, flush=True)
    print("ended", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Nursery:
    """A process that starts others, one at a time."""

    def __init__(self) -> None:
        command = [sys.executable, "-c", NURSERY, str(HELPERS), json.dumps(TURNS)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def start(self, task: str, folder: Path, *words: object) -> int:
        """Start a process and return its id."""
        assert self._process.stdin
        self._process.stdin.write(" ".join([task, str(folder), *map(str, words)]) + "\n")
        self._process.stdin.flush()
        return int(self.heard())

    def heard(self) -> str:
        """Return the next line that the nursery, or the process in it, says."""
        assert self._process.stdout
        return self._process.stdout.readline().strip()

    def kill(self, process: int) -> None:
        os.kill(process, signal.SIGKILL)
        assert self.heard() == f"ended -{signal.SIGKILL:d}"

    def close(self) -> None:
        self._process.communicate(timeout=60)


@pytest.fixture(scope="module")
def nursery(apart: None) -> Iterator[Nursery]:
    with contextlib.closing(Nursery()) as made:
        yield made


@pytest.fixture
def chain(repository: Path, new_images: Callable[..., pd.DataFrame], new_chain: Any, tmp_path: Path) -> Any:
    return new_chain(repository / "lineage", new_images(tmp_path / "mine", "mine"))


def assert_whole(chain: Any, target: Path) -> list[int]:
    """Check and restore all that is there; return the cycles."""
    assert verify(chain.root, chain.stores).faults == ()
    for snapshot in chain.snapshots:
        images = restore(snapshot, chain.store, target / snapshot.folder.name)
        assert len(list((target / snapshot.folder.name).iterdir())) == len(images) == snapshot.record.images
    return [snapshot.record.cycle for snapshot in chain.snapshots]


def test_a_chain_has_one_writer_until_that_process_ends(nursery: Nursery, chain: Any, tmp_path: Path) -> None:
    other = nursery.start("first_cycle", tmp_path, "theirs")
    assert nursery.heard() == "saved"
    theirs = [snapshot.record for snapshot in chain.snapshots]
    with pytest.raises(LineageError, match=r"Another run is writing the snapshots in '.*' right now"):
        chain.save(0)
    assert [snapshot.record for snapshot in chain.snapshots] == theirs
    nursery.kill(other)
    chain.tell(TURNS)
    assert assert_whole(chain, tmp_path / "restored") == [0, 1, 2]
    assert chain.snapshots[0].record.tree != theirs[0].tree


def test_a_chain_is_free_once_its_last_cycle_is_saved(nursery: Nursery, chain: Any, tmp_path: Path) -> None:
    chain.tell(TURNS)  # this process goes on
    other = nursery.start("first_cycle", tmp_path, "theirs")
    assert nursery.heard() == "saved"
    nursery.kill(other)
    assert [snapshot.record.cycle for snapshot in chain.snapshots] == [0]


def test_runs_of_two_cells_that_keep_the_same_images_at_once_do_not_take_them_from_each_other(
    nursery: Nursery, new_images: Callable[..., pd.DataFrame], new_chain: Any, repository: Path, tmp_path: Path
) -> None:
    nursery.start("slowly", tmp_path, "theirs")
    if nursery.heard() != "an image is half kept":
        pytest.skip("reflinks are made in another way here")
    mine = new_chain(repository / "lineage", new_images(tmp_path / "mine", "theirs"), "mine/vanilla")
    mine.save(0)
    (tmp_path / "go on").touch()
    assert nursery.heard().startswith("ended")
    assert assert_whole(mine, tmp_path / "restored") == [0]


def test_runs_killed_at_any_moment_leave_whole_snapshots_only(
    nursery: Nursery, chain: Any, tmp_path: Path
) -> None:
    chance, lengths, longest = np.random.default_rng(0), set(), 0.3
    for number in range(20):
        other = nursery.start("again_and_again", tmp_path, f"run{number}x")
        time.sleep(chance.uniform(0.0, longest))
        nursery.kill(other)
        lengths.add(len(assert_whole(chain, tmp_path / f"restored{number}")))
        longest *= 1.3 if lengths == {0} else 1.0  # a slow machine has not come to a first snapshot yet
    assert len(lengths) > 1  # some chains were cut short
    chain.tell(TURNS)
    assert assert_whole(chain, tmp_path / "restored") == [0, 1, 2]
    assert {path.name for path in chain.folder.glob(".*")} == {".gitignore", ".lock"}


def test_a_run_killed_before_any_kind_of_step_on_the_disk_can_be_made_again(
    nursery: Nursery, chain: Any, new_images: Callable[..., pd.DataFrame], new_chain: Any, tmp_path: Path
) -> None:
    chain.tell(TURNS)
    nursery.start("until_step", tmp_path, "counted", "none", 0)
    steps = json.loads(nursery.heard())
    assert nursery.heard() == "ended 0"
    assert {"open", "os.rename", "os.mkdir", "os.chmod", "shutil.rmtree", "fcntl.flock"} <= set(steps)
    chance = np.random.default_rng(0)
    for kind, times in steps.items():
        for occurrence in {1, int(chance.integers(1, times + 1))}:
            name = f"{kind}{occurrence}"
            nursery.start("until_step", tmp_path, name, kind, occurrence)
            assert nursery.heard() == f"ended -{signal.SIGKILL:d}", name
            assert_whole(chain, tmp_path / "cut" / name)
            again = new_chain(chain.root, new_images(tmp_path / name, name))
            again.tell(TURNS)
            assert assert_whole(again, tmp_path / "again" / name) == [0, 1, 2], name
