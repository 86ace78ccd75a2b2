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

from irp_kedro.core import seeding
from irp_kedro.core.detector import BlindSet, Rows, Scores
from irp_kedro.core.judging import Apart, HeldOut, InSample, Judge, Panel
from irp_kedro.core.refinement import RefinementCycle, plan_for, refine
from irp_kedro.detectors.registry import DETECTORS, BankDetector, detector_type
from irp_kedro.detectors.settings import DetectorSettings, TrainedDetector
from irp_kedro.errors import IncompleteRunError, ParameterError
from irp_kedro.features.bank import FeatureBank
from irp_kedro.parameters import (
    FlowParameters,
    PatchParameters,
    RefinementParameters,
    Strategy,
    TrainingParameters,
    ViewParameters,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class LoopSettings:
    """All that a strategy needs besides its images."""

    detector: str
    refinement: RefinementParameters
    training: TrainingParameters
    flow: FlowParameters
    views: ViewParameters
    patches: PatchParameters = field(default_factory=PatchParameters)
    seed: int
    device: str

    @property
    def judges(self) -> tuple[str, ...]:
        """Names of the judging detectors; empty ``refinement.judge`` lets the trained kind judge."""
        return self.refinement.judge or (self.detector,)

    @property
    def judge(self) -> str:
        """The judges as the removal log names them."""
        return "+".join(self.judges)

    @property
    def detector_settings(self) -> DetectorSettings:
        """What detectors are told."""
        return DetectorSettings(
            flow=self.flow,
            training=self.training,
            views=self.views,
            patches=self.patches,
            score=self.refinement.score,
            seed=self.seed,
        )


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
    observe: Callable[[float], None] = lambda loss: None,
    *,
    called: str = "",
    resume: ResumePoint | None = None,
    patches: FeatureBank | None = None,
) -> Iterator[CycleResult]:
    """Walk the loop of ``strategy`` over a training manifest and yield each cycle as soon as it is done.

    Only image ids and digests are taken from the manifest: no path, label or mask goes further than this line.

    Args:
        strategy: how the loop is walked.
        training: manifest of the set to refine.
        bank: features of its images.
        settings: detector, judge and schedule.
        observe: called with the mean loss after each epoch of the detector.
        called: name in the log; empty: the strategy's.
        resume: where an interrupted walk of the same loop can go on; its cycles are not yielded again.
        patches: patch features of the images, where a detector or judge asks for them.

    Raises:
        IncompleteRunError: patch features are asked for and not given.
        ThresholdUndefinedError: T x median was asked for and the median score is not positive.
    """
    images = BlindSet.of(training, seed=settings.seed)
    load = _Loader(bank, patches, images.digests, settings.device)
    detector = detector_type(settings.detector)(load.of(settings.detector), settings.detector_settings)
    plan = plan_for(strategy, settings.refinement, settings.training.epochs)
    # A loop that never judges needs no judge, nor the features of one.
    judge = build_judge(detector, load.of, settings) if plan.max_cycles else InSample(detector)
    past = resume.past if resume else ()
    if resume and past:
        detector.load_state(resume.state)
        logger.info("%s goes on after cycle %d of an interrupted run", called or strategy, past[-1].cycle)
    every = settings.refinement.checkpoint_every
    started = time.perf_counter()
    for record in refine(_Observed(detector, observe), judge, images, plan, past):
        seconds = time.perf_counter() - started
        _log(called or strategy, record)
        model = detector.export() if record.is_last else None
        state = None if record.is_last or record.cycle % every else detector.state()
        yield CycleResult(record=record, seconds=seconds, model=model, state=state)
        started = time.perf_counter()


def build_judge(detector: BankDetector, features_of: Callable[[str], Tensor], settings: LoopSettings) -> Judge:
    """Return the judge that ``refinement.scoring`` and ``refinement.judge`` ask for.

    Args:
        detector: the one that is trained.
        features_of: name of a detector -> the features it works on.
        settings: of the loop.
    """
    judges = [_one_judge(name, detector, features_of, settings) for name in settings.judges]
    if len(judges) == 1 and settings.refinement.threshold != "false_discovery":
        return judges[0]
    by_logarithm = [
        DETECTORS[name].by_logarithm
        and not (name == "differnet" and settings.refinement.score != "latent_energy")
        for name in settings.judges
    ]
    return Panel(tuple(zip(judges, by_logarithm, strict=True)))


def _one_judge(
    name: str, detector: BankDetector, features_of: Callable[[str], Tensor], settings: LoopSettings
) -> Judge:
    rule = settings.refinement
    same = name == settings.detector
    if rule.scoring == "in_sample" and same:
        return InSample(detector)
    template = detector if same else detector_type(name)(features_of(name), settings.detector_settings, "judge")
    fresh: Callable[[str], BankDetector] = template.fresh
    if rule.scoring == "in_sample" or DETECTORS[name].leaves_one_out:
        return Apart(fresh, rule.judge_epochs)
    folds_seed = seeding.stream_seed(settings.seed, "judge")
    return HeldOut(fresh, folds=rule.folds, epochs=rule.judge_epochs, seed=folds_seed)


def load_features(bank: FeatureBank, digests: Sequence[str], device: str) -> Tensor:
    """Return features (n_images, n_views, n_features), float16, resident on ``device``."""
    return torch.from_numpy(bank.read(digests)).to(resolve_device(device))


def score_images(
    model: TrainedDetector,
    bank: FeatureBank,
    digests: Sequence[str],
    device: str,
    patches: FeatureBank | None = None,
) -> npt.NDArray[np.float64]:
    """Return a saved detector's score of each image, higher = more anomalous; of none, none."""
    if not digests:
        return np.empty(0)
    features = _Loader(bank, patches, digests, device).of(model.detector)
    detector = detector_type(model.detector).restore(model, features)
    return detector.score(np.arange(len(digests)))


class _Loader:
    """Reads each kind of features once, and only if a detector asks for it."""

    def __init__(
        self, pooled: FeatureBank, patches: FeatureBank | None, digests: Sequence[str], device: str
    ) -> None:
        self._banks = {"pooled": pooled, "patches": patches}
        self._digests = digests
        self._device = device
        self._loaded: dict[str, Tensor] = {}

    def of(self, detector: str) -> Tensor:
        """Return the features that ``detector`` works on."""
        kind = DETECTORS[detector].features
        if kind not in self._loaded:
            bank = self._banks[kind]
            if bank is None or not bank.digests:
                raise IncompleteRunError(
                    f"'{detector}' works on {kind} features, and there are none. "
                    "Run: kedro run --pipelines features"
                )
            self._loaded[kind] = load_features(bank, self._digests, self._device)
        return self._loaded[kind]


def resolve_device(device: str) -> torch.device:
    """Return the device a parameter names; ``auto`` is CUDA where there is one.

    Raises:
        ParameterError: CUDA was asked for by name and is not there.
    """
    available = torch.cuda.is_available()
    if device == "auto":
        return torch.device("cuda" if available else "cpu")
    if device.startswith("cuda") and not available:
        raise ParameterError(
            f"device = '{device}', but torch {torch.__version__} sees no CUDA device here; "
            "use --params device=cpu, or install a CUDA build of torch (README, 'CPU or GPU')."
        )
    _, _, number = device.partition(":")
    if number and int(number) >= torch.cuda.device_count():
        raise ParameterError(f"device = '{device}', but torch sees {torch.cuda.device_count()} CUDA devices.")
    return torch.device(device)


@dataclass(frozen=True)
class _Observed:
    """A detector that reports each epoch; training one epoch at a time is the same as training several."""

    detector: BankDetector
    observe: Callable[[float], None]

    def fit(self, rows: Rows, *, epochs: int) -> list[float]:
        losses: list[float] = []
        for _ in range(epochs):
            loss = self.detector.fit(rows, epochs=1)
            if not loss:
                break  # a detector without epochs is fitted once
            losses += loss
            self.observe(loss[0])
        return losses

    def score(self, rows: Rows) -> Scores:
        return self.detector.score(rows)

    def fresh(self, name: str) -> Self:
        return replace(self, detector=self.detector.fresh(name))


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
        "%s, cycle %d: removed %d, restored %d, %d images left, %d epochs, loss %s",
        name,
        record.cycle,
        sum(decision.action == "removed" for decision in record.decisions),
        sum(decision.action == "restored" for decision in record.decisions),
        len(record.kept),
        record.epochs,
        loss,
    )
    if record.is_last:
        logger.info("%s ended: %s", name, record.stop)
