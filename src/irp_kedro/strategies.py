"""A strategy on a feature bank: build detector and judge, walk the loop, hand over each cycle."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from irp_kedro.core.detector import AnomalyDetector, BlindSet, Rows, Scores
from irp_kedro.core.judging import InSample
from irp_kedro.core.refinement import RefinementCycle, plan_for, refine
from irp_kedro.detectors.differnet import DifferNet
from irp_kedro.detectors.parallel import fit_in_processes
from irp_kedro.detectors.registry import BankDetector, detector_type
from irp_kedro.detectors.settings import TrainedDetector
from irp_kedro.errors import IncompleteRunError, ParameterError
from irp_kedro.features.bank import FeatureBank
from irp_kedro.features.preparation import PreparedImages
from irp_kedro.judges import FeatureLoader, LoopSettings, build_judge
from irp_kedro.parameters import Strategy

logger = logging.getLogger(__name__)

Observer = Callable[[float, int], None]


@dataclass(frozen=True, kw_only=True)
class ResumePoint:
    """Where an interrupted loop can go on.

    Attributes:
        past: the cycles done, from 0; none: start afresh.
        state: of the detector after the last of them.
    """

    past: tuple[RefinementCycle, ...] = ()
    state: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class CycleResult:
    """A cycle as it is kept.

    Attributes:
        record: what the loop did.
        seconds: wall time of this cycle.
        model: the trained detector, on the last cycle; ``None`` before it.
        state: what training needs to go on after this cycle, where it is to be kept; never on the last.
    """

    record: RefinementCycle
    seconds: float
    model: TrainedDetector | None
    state: Mapping[str, Tensor] | None = None

    @property
    def trained(self) -> TrainedDetector:
        """The trained detector; only the last cycle has one."""
        if self.model is None:
            raise IncompleteRunError(f"Cycle {self.record.cycle} is not the last one; it keeps no model.")
        return self.model


def run_strategy(
    strategy: Strategy,
    training: pd.DataFrame,
    bank: FeatureBank,
    settings: LoopSettings,
    observe: Observer = lambda loss, n_images: None,
    *,
    called: str = "",
    resume: ResumePoint | None = None,
    patches: FeatureBank | None = None,
    images: PreparedImages | None = None,
) -> Iterator[CycleResult]:
    """Walk the loop of ``strategy`` over a training manifest and yield each cycle as soon as it is done.

    Only image ids and digests are taken from the manifest: no path, label or mask goes further than this line.

    Args:
        strategy: how the loop is walked.
        training: manifest of the set to refine.
        bank: features of its images.
        settings: detector, judge and schedule.
        observe: called after each epoch of the detector with its mean loss, and how many images it passed over:
            where some are in doubt, epochs are shorter and more.
        called: name in the log; empty: the strategy's.
        resume: where an interrupted walk of the same loop can go on; its cycles are not yielded again.
        patches: patch features of the images, where a detector or judge asks for them.
        images: prepared images, where one asks for pixels; they are read by digest.

    Raises:
        IncompleteRunError: patch features are asked for and not given.
        ParameterError: several processes are to train a detector that one process trains, or have too few GPUs.
        ThresholdUndefinedError: T x median was asked for and the median score is not positive.
    """
    blind = BlindSet.of(training, seed=settings.seed)
    load = FeatureLoader(bank, patches, blind.digests, settings.device, images)
    detector = detector_type(settings.detector)(load.of(settings.detector), settings.detector_settings)
    rule, epochs = settings.refinement, settings.training.epochs
    plan = plan_for(strategy, rule, epochs, settings.review, seed=settings.seed)
    # A loop that never judges needs no judge, nor the features of one.
    judge = build_judge(detector, load.of, settings) if plan.max_cycles else InSample(detector)
    past = resume.past if resume else ()
    if resume and past:
        detector.load_state(resume.state)
        logger.info("%s goes on after cycle %d of an interrupted run", called or strategy, past[-1].cycle)
    every = settings.refinement.checkpoint_every
    started = time.perf_counter()
    observed = _observed(detector, observe, bank, blind, settings)
    for record in refine(observed, judge, blind, plan, past):
        seconds = time.perf_counter() - started
        _log(called or strategy, record)
        model = detector.export() if record.is_last else None
        state = None if record.is_last or record.cycle % every else detector.state()
        yield CycleResult(record=record, seconds=seconds, model=model, state=state)
        started = time.perf_counter()


def score_images(
    model: TrainedDetector,
    bank: FeatureBank,
    digests: Sequence[str],
    device: str,
    *,
    patches: FeatureBank | None = None,
    images: PreparedImages | None = None,
) -> npt.NDArray[np.float64]:
    """Return a saved detector's score of each image, higher = more anomalous; of none, none."""
    if not digests:
        return np.empty(0)
    features = FeatureLoader(bank, patches, digests, device, images).of(model.detector)
    detector = detector_type(model.detector).restore(model, features)
    return detector.score(np.arange(len(digests)))


@dataclass(frozen=True)
class _Observed:
    """A detector that reports each epoch; training one epoch at a time is the same as training several."""

    detector: BankDetector
    observe: Observer

    def fit(self, rows: Rows, *, epochs: int) -> list[float]:
        losses: list[float] = []
        for _ in range(epochs):
            loss = self.detector.fit(rows, epochs=1)
            if not loss:
                break  # a detector without epochs is fitted once
            losses += loss
            self.observe(loss[0], len(rows))
        return losses

    def score(self, rows: Rows) -> Scores:
        return self.detector.score(rows)

    def fresh(self, name: str) -> Self:
        return replace(self, detector=self.detector.fresh(name))


@dataclass(frozen=True)
class _InProcesses:
    """A detector that is trained by several processes together."""

    detector: DifferNet
    observe: Observer
    bank: FeatureBank
    digests: tuple[str, ...]
    processes: int

    def fit(self, rows: Rows, *, epochs: int) -> list[float]:
        return self.fit_each([rows] * epochs)

    def fit_each(self, schedule: Sequence[Rows]) -> list[float]:
        losses = fit_in_processes(self.detector, self.bank, self.digests, schedule, processes=self.processes)
        for loss, rows in zip(losses, schedule, strict=True):
            self.observe(loss, len(rows))
        return losses

    def score(self, rows: Rows) -> Scores:
        return self.detector.score(rows)

    def fresh(self, name: str) -> Self:
        return replace(self, detector=self.detector.fresh(name))


def _observed(
    detector: BankDetector,
    observe: Observer,
    bank: FeatureBank,
    blind: BlindSet,
    settings: LoopSettings,
) -> AnomalyDetector:
    processes = settings.training.processes
    if processes == 1:
        return _Observed(detector, observe)
    if not isinstance(detector, DifferNet):
        raise ParameterError(
            f"training.processes = {processes}, but '{settings.detector}' is trained by one process; "
            "leave it at 1, or use --params detector=differnet"
        )
    if detector.features.device.type == "cuda" and processes > torch.cuda.device_count():
        raise ParameterError(
            f"training.processes = {processes}, each on a GPU of its own, but torch sees "
            f"{torch.cuda.device_count()}; ask for at most as many, or use --params device=cpu"
        )
    return _InProcesses(detector, observe, bank, blind.digests, processes)


def _log(name: str, record: RefinementCycle) -> None:
    loss = f"{record.losses[-1]:.3f}" if record.losses else "none"
    if record.median_score is not None and record.threshold is not None:
        logger.info(
            "%s, cycle %d: median %.3f, threshold %.3f, %d above",
            name,
            record.cycle,
            record.median_score,
            record.threshold,
            record.above,
        )
    logger.info(
        "%s, cycle %d: removed %d, restored %d, %d left (%d in doubt, %d of a variant), %d epochs, loss %s",
        name,
        record.cycle,
        sum(decision.action == "removed" for decision in record.decisions),
        sum(decision.action == "restored" for decision in record.decisions),
        len(record.kept),
        len(record.doubtful),
        len(record.variants),
        record.epochs,
        loss,
    )
    if record.is_last:
        logger.info("%s ended: %s", name, record.stop)
