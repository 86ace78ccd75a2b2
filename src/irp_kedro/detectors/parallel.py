"""One big run on several devices: every process takes its share of each batch, gradients are added up.

Processes are started for a call of ``fit`` and end with it. Each opens the bank by itself; all take the same
steps, because they start from the same weights, draw the same views by name and add up the same gradients. The
first one writes the state that training left.
"""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import distributed
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from irp_kedro.core.detector import Rows
from irp_kedro.detectors.differnet import DifferNet, Share
from irp_kedro.detectors.settings import DetectorSettings
from irp_kedro.features.bank import FeatureBank
from irp_kedro.features.residence import place

BEFORE, AFTER = "before.safetensors", "after.safetensors"


@dataclass(frozen=True, kw_only=True)
class Task:
    """All that a process needs to train with the others.

    Attributes:
        folder: holds the state before, if there is one, and then the state after.
        bank: features of the images.
        digests: which images, in blind order.
        settings: of the detector.
        name: of its random streams.
        schedule: the training set of each epoch.
        cuda: whether each process has a GPU of its own.
    """

    folder: str
    bank: FeatureBank
    digests: tuple[str, ...]
    settings: DetectorSettings
    name: str
    schedule: tuple[Rows, ...]
    cuda: bool


def fit_in_processes(
    detector: DifferNet, bank: FeatureBank, digests: Sequence[str], schedule: Sequence[Rows], *, processes: int
) -> list[float]:
    """Train ``detector`` in ``processes``, an epoch on each set of ``schedule``; return the mean loss of each.

    The result is that of one process up to the order in which gradients are added.
    """
    with tempfile.TemporaryDirectory(prefix="irp-parallel-") as folder:
        state = detector.state()
        if state:
            save_file(state, Path(folder) / BEFORE)
        task = Task(
            folder=folder,
            bank=bank,
            digests=tuple(digests),
            settings=detector.settings,
            name=detector.name,
            schedule=tuple(schedule),
            cuda=detector.features.device.type == "cuda",
        )
        launch = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=processes,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            start_method="spawn",
            max_restarts=0,
            monitor_interval=0.1,
        )
        losses: list[float] = elastic_launch(launch, _work)(task)[0]
        detector.load_state(load_file(Path(folder) / AFTER))
    return losses


def _work(task: Task) -> list[float]:
    local = int(os.environ["LOCAL_RANK"])
    device = torch.device("cuda", local) if task.cuda else torch.device("cpu")
    if task.cuda:
        torch.cuda.set_device(device)
    else:
        torch.set_num_threads(max(1, torch.get_num_threads() // int(os.environ["LOCAL_WORLD_SIZE"])))
    distributed.init_process_group("nccl" if task.cuda else "gloo")
    try:
        features = place(torch.from_numpy(task.bank.read(task.digests)), device)
        detector = DifferNet(features, task.settings, task.name)
        before = Path(task.folder) / BEFORE
        if before.is_file():
            detector.load_state(load_file(before))
        detector.share = Share(rank=distributed.get_rank(), of=distributed.get_world_size())
        losses = [loss for rows in task.schedule for loss in detector.fit(rows, epochs=1)]
        if detector.share.rank == 0:
            save_file(detector.state(), Path(task.folder) / AFTER)
        return losses
    finally:
        distributed.destroy_process_group()
