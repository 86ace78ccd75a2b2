"""Who judges, and on which features: what ``refinement.judge`` and ``refinement.scoring`` ask for."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from irp_kedro.core import seeding
from irp_kedro.core.detector import Rows, Scores
from irp_kedro.core.judging import Apart, Council, HeldOut, InSample, Judge, Member, Panel, SingleJudge
from irp_kedro.core.review import NO_REVIEW, Review
from irp_kedro.detectors.differnet import DifferNet
from irp_kedro.detectors.registry import DETECTORS, BankDetector, detector_type
from irp_kedro.detectors.settings import DetectorSettings
from irp_kedro.errors import IncompleteRunError, ParameterError
from irp_kedro.features.bank import ExtractionRecipe, FeatureBank
from irp_kedro.features.colours import has_colour
from irp_kedro.features.device import download
from irp_kedro.features.preparation import PreparedImages
from irp_kedro.features.residence import DEVICE_SHARE, StreamedViews, ViewSource, place
from irp_kedro.parameters import (
    FlowParameters,
    PatchParameters,
    RefinementParameters,
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
    review: Review = NO_REVIEW

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


def build_judge(
    detector: BankDetector, features_of: Callable[[str], Tensor | ViewSource], settings: LoopSettings
) -> Judge:
    """Return the judge that ``refinement.scoring`` and ``refinement.judge`` ask for.

    Args:
        detector: the one that is trained.
        features_of: name of a detector -> the features it works on.
        settings: of the loop.
    """
    rule = settings.refinement
    names = _heard(settings, features_of)
    judges = [_one_judge(name, detector, features_of, settings) for name in names]
    by_logarithm = [
        DETECTORS[name].by_logarithm and not (name == "differnet" and rule.score != "latent_energy")
        for name in names
    ]
    if rule.threshold == "false_discovery":
        alone = [name in rule.alone for name in names]
        # Where all see something else than others do, there is nobody to be heard apart from.
        all_apart = all(DETECTORS[name].apart for name in names)
        apart = [name if DETECTORS[name].apart and not all_apart else "" for name in names]
        return Council([Member(*member) for member in zip(judges, by_logarithm, alone, apart, strict=True)])
    return judges[0] if len(judges) == 1 else Panel(tuple(zip(judges, by_logarithm, strict=True)))


def _heard(settings: LoopSettings, features_of: Callable[[str], Tensor | ViewSource]) -> Sequence[str]:
    """Return the judges without those apart that nobody hears, unless there are no others (decision 0046).

    A panel is one opinion against one limit, so nobody can be apart from it; and grey images have no colours.
    """
    shared = [name for name in settings.judges if not DETECTORS[name].apart]
    if not shared or len(shared) == len(settings.judges):
        return settings.judges
    if settings.refinement.threshold != "false_discovery":
        return shared
    return [name for name in settings.judges if name in shared or _sees_something(name, features_of(name))]


def _sees_something(name: str, features: Tensor | ViewSource) -> bool:
    if DETECTORS[name].features != "colours" or not isinstance(features, Tensor) or has_colour(features):
        return True
    logger.info("All images are grey: '%s' has no part in judging them", name)
    return False


def _one_judge(
    name: str, detector: BankDetector, features_of: Callable[[str], Tensor | ViewSource], settings: LoopSettings
) -> SingleJudge:
    rule = settings.refinement
    same = name == settings.detector
    if rule.scoring == "in_sample" and same:
        if not hasattr(detector, "score_there"):
            return InSample(detector)
        return InSample(detector, lambda trained, rows: download(_to_compare(trained, rows)))
    template = detector if same else detector_type(name)(features_of(name), settings.detector_settings, "judge")
    fresh: Callable[[str], BankDetector] = template.fresh
    if rule.scoring == "in_sample" or DETECTORS[name].leaves_one_out:
        return Apart(fresh, rule.judge_epochs)
    folds_seed = seeding.stream_seed(settings.seed, "judge")
    judge = HeldOut(fresh, folds=rule.folds, epochs=rule.judge_epochs, seed=folds_seed)
    if hasattr(template, "score_there"):
        return replace(judge, score=_to_compare, collect=_in_one_transfer)
    return judge


def _to_compare(detector: Any, rows: Rows) -> Tensor:  # noqa: ANN401 - of any kind that scores where it is
    """Return scores where they were computed; within one set they need not be those of other machines."""
    if isinstance(detector, DifferNet):
        return detector.score_there(rows, exact=False)
    there: Tensor = detector.score_there(rows)
    return there


def _in_one_transfer(folds: Sequence[Tensor]) -> list[Scores]:
    scores = download(torch.cat(list(folds)))
    return np.split(scores, np.cumsum([len(fold) for fold in folds])[:-1])


class FeatureLoader:
    """Reads each kind of features once, and only if a detector asks for it."""

    def __init__(
        self,
        pooled: FeatureBank,
        patches: FeatureBank | None,
        digests: Sequence[str],
        device: str,
        images: PreparedImages | None = None,
    ) -> None:
        self._images = images
        fine = patches.fine() if patches and patches.finer else None
        colours = patches.colours() if patches and patches.coloured else None
        self._banks = {"pooled": pooled, "patches": patches, "fine_patches": fine, "colours": colours}
        self._digests = digests
        self._device = device
        self._loaded: dict[str, Tensor | StreamedViews] = {}

    def of(self, detector: str) -> Tensor | StreamedViews:
        """Return the features that ``detector`` works on.

        Raises:
            IncompleteRunError: there are none.
            ParameterError: they are too large for the device, and the detector needs them there.
        """
        kind = DETECTORS[detector].features
        if kind == "pixels" and kind not in self._loaded:
            self._loaded[kind] = self._pixels(detector)
        elif kind not in self._loaded:
            bank = self._banks[kind]
            if bank is None or not bank.digests:
                raise IncompleteRunError(
                    f"'{detector}' works on {kind} features, and there are none. "
                    "Run: kedro run --pipelines features"
                )
            self._loaded[kind] = load_features(bank, self._digests, self._device)
        found = self._loaded[kind]
        if isinstance(found, StreamedViews) and not DETECTORS[detector].streams:
            raise ParameterError(
                f"The {kind} features take more than {DEVICE_SHARE:.0%} of the memory of {found.device}, and "
                f"'{detector}' needs them there; use --params device=cpu, or a detector that streams them: "
                f"{', '.join(name for name, entry in DETECTORS.items() if entry.streams)}."
            )
        return found

    def _pixels(self, detector: str) -> Tensor:
        images = self._images
        if images is None:
            raise IncompleteRunError(f"'{detector}' works on pixels, and no prepared images were handed over.")
        pixels = np.stack([images.read(digest) for digest in self._digests])
        return torch.from_numpy(pixels).to(resolve_device(self._device))


def recipe_for(detector: str, pooled: FeatureBank, patches: FeatureBank | None) -> ExtractionRecipe:
    """Return how pixels become the features that ``detector`` works on.

    One that works on pixels needs only the preparation of it, which the pooled features share.
    """
    kind = DETECTORS[detector].features
    if kind == "fine_patches" and patches:
        return patches.fine().read_recipe()
    if kind == "colours" and patches:
        return patches.colours().read_recipe()
    return (patches if kind == "patches" and patches else pooled).read_recipe()


def load_features(bank: FeatureBank, digests: Sequence[str], device: str) -> Tensor | StreamedViews:
    """Return features (n_images, n_views, n_features), float16, on ``device``, or streamed where too large."""
    return place(torch.from_numpy(bank.read(digests)), resolve_device(device))


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
