"""Who judges the training images, and whether the judge has seen them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from irp_kedro.core import seeding
from irp_kedro.core.detector import NOBODY, AnomalyDetector, Rows, Scores, Witness
from irp_kedro.core.resemblance import Recognises
from irp_kedro.core.threshold import location_and_spread

SMALLEST_SCORE = 1e-12  # its logarithm is still a number
SMALLEST_RATIO = 1e-3  # to the median


@dataclass(frozen=True)
class Opinions:
    """What several judges say of each image, robust deviations, (n_images,) each; higher = more anomalous.

    Attributes:
        together: what they find all together; held against the plain limit.
        alone: what one of those that may speak alone finds by itself, held against a limit
            ``refinement.alone_factor`` times as far out; nothing where nobody may.
        apart: name -> what a judge says that sees something else than the others, held against a limit of its
            own, ``refinement.apart_factor`` times as far out.
    """

    together: Scores
    alone: Scores | None = None
    apart: Mapping[str, Scores] = field(default_factory=dict)

    @property
    def ordering(self) -> Scores:
        """Who is normal (decision 0042)."""
        return self.together if self.alone is None else self.alone


class Judge(Protocol):
    """Scores the images of a set, and those that left it; higher = more anomalous."""

    def judge(self, rows: Rows, *, cycle: int, outside: Rows = NOBODY) -> Scores | Opinions:
        """Return the scores of ``rows``, then those of ``outside``, all on one scale, or opinions of them.

        Args:
            rows: the set; what the judge learns from.
            cycle: names the random streams.
            outside: images that are to be judged, but not learnt from.
        """
        ...


class SingleJudge(Protocol):
    """A judge of one opinion."""

    def judge(self, rows: Rows, *, cycle: int, outside: Rows = NOBODY) -> Scores:
        """Return the scores of ``rows``, then those of ``outside``, all on one scale."""
        ...


@dataclass(frozen=True)
class InSample:
    """The paper's judge: the detector scores the images it was trained on (Algorithm 1, line 3).

    Attributes:
        detector: the one that is trained.
        score: asks it for the scores of rows.
    """

    detector: AnomalyDetector
    score: Callable[[Any, Rows], Scores] = lambda detector, rows: detector.score(rows)

    def judge(self, rows: Rows, *, cycle: int, outside: Rows = NOBODY) -> Scores:
        """Return the trained detector's scores."""
        return self.score(self.detector, np.concatenate([rows, outside]))


@dataclass(frozen=True)
class Apart:
    """Another detector, trained afresh on the remaining images in each cycle, scores those same images.

    Also the judge for detectors that leave an image out by themselves when they score it. A witness is kept
    until the next cycle, for what it may be asked then.

    Attributes:
        fresh: makes an untrained judge from a name.
        epochs: how long it is trained.
    """

    fresh: Callable[[str], AnomalyDetector]
    epochs: int
    _last: dict[int, tuple[Rows, Witness]] = field(default_factory=dict, repr=False, compare=False)

    def judge(self, rows: Rows, *, cycle: int, outside: Rows = NOBODY) -> Scores:
        """Return the scores of a judge trained on ``rows``."""
        detector = self.fresh(f"judge/{cycle}")
        detector.fit(rows, epochs=self.epochs)
        if isinstance(detector, Witness):  # a large flow would be kept for nothing
            self._last.clear()
            self._last[cycle] = rows, detector
        return detector.score(np.concatenate([rows, outside]))

    def resemblance(
        self, reference: Rows, left: Rows, others: Rows, *, cycle: int
    ) -> list[tuple[Scores, Scores]]:
        """Return what the judge says as a witness, where it is one (:class:`resemblance.Recognises`)."""
        learnt_from, last = self._last.get(cycle, (NOBODY, None))
        knows = last is not None and np.array_equal(learnt_from, reference)
        detector = last if knows else self.fresh(f"judge/{cycle}")
        if not isinstance(detector, Witness):
            return []
        if not knows:
            detector.fit(reference, epochs=self.epochs)
        return detector.resemblance(left, others)

    def witnesses(self, *, cycle: int) -> Sequence[Witness]:
        """Return the judge, untrained, where it is a witness (:class:`variants.SeesCompany`)."""
        detector = self.fresh(f"judge/{cycle}")
        return [detector] if isinstance(detector, Witness) else []


@dataclass(frozen=True)
class HeldOut:
    """Cross-fitting: each image is scored by a judge that was trained without it (decision 0012).

    A detector memorises what contaminates its training set, so it ranks the images it has seen poorly.
    Scores of different folds are put on one scale by their medians; an image outside the set, which no fold
    has seen, gets the mean of all folds.

    Attributes:
        fresh: makes an untrained judge from a name.
        folds: number of parts.
        epochs: how long each judge is trained.
        seed: of the split into folds, drawn anew in every cycle.
        score: asks a trained judge for the scores of rows; they may stay where they were computed.
        collect: brings the scores of all folds here.
    """

    fresh: Callable[[str], Any]
    folds: int
    epochs: int
    seed: int
    score: Callable[[Any, Rows], Any] = lambda detector, rows: detector.score(rows)
    collect: Callable[[Sequence[Any]], Sequence[Scores]] = lambda folds: folds

    def judge(self, rows: Rows, *, cycle: int, outside: Rows = NOBODY) -> Scores:
        """Return the held-out score of every row."""
        folds = min(self.folds, len(rows))
        fold_of = seeding.stream(self.seed, "folds", cycle).permutation(len(rows)) % folds
        scored = []
        for fold in range(folds):
            held_out = fold_of == fold
            detector = self.fresh(f"judge/{cycle}/{fold}")
            detector.fit(rows[~held_out], epochs=self.epochs)
            scored.append(self.score(detector, np.concatenate([rows[held_out], outside])))
        scores = np.empty(len(rows))
        apart = np.empty((folds, len(outside)))
        for fold, both in enumerate(self.collect(scored)):
            held_out = fold_of == fold
            scores[held_out], apart[fold] = np.split(both, [int(held_out.sum())])
        return _one_scale(scores, fold_of, apart)


@dataclass(frozen=True)
class Panel:
    """Several judges as one: the soft maximum of their scores in robust standard deviations (decision 0028).

    An image that one judge finds far out is suspect, whatever the others say of it; a judge that sees nothing
    costs the others little. A panel of one only standardises.

    Attributes:
        judges: each with whether its scores are compared by their logarithm, as positive distances are.
    """

    judges: Sequence[tuple[SingleJudge, bool]]

    def judge(self, rows: Rows, *, cycle: int, outside: Rows = NOBODY) -> Scores:
        """Return the panel's score of every row, robust standard deviations."""
        standardised = []
        for judge, by_logarithm in self.judges:
            scores = judge.judge(rows, cycle=cycle, outside=outside)
            standardised.append(_standardised(_logarithm(scores) if by_logarithm else scores, len(rows)))
        return _soft_maximum(standardised)


@dataclass(frozen=True)
class Member:
    """One judge of a council.

    Attributes:
        judge: whose scores count.
        by_logarithm: where it speaks alone, its scores are compared by their logarithm, as positive distances
            are.
        alone: it may find an image far out by itself.
        apart: its name, where it sees something else than the others and is heard apart; else empty.
    """

    judge: SingleJudge
    by_logarithm: bool
    alone: bool
    apart: str = ""


@dataclass(frozen=True)
class Council:
    """Judges that are heard twice: together, and those of them that may speak alone (decision 0041).

    Together their standardised logarithms are averaged: what several judges find a little unusual stands out,
    and logarithms shorten the tails of sets whose good images differ much. Alone it is their soft maximum, as
    in a :class:`Panel`: what one of them finds very far out, whatever the others say. Whoever sees something
    else has no part in either, and is heard apart (decision 0046).

    Attributes:
        members: who is heard.
    """

    members: Sequence[Member]

    def judge(self, rows: Rows, *, cycle: int, outside: Rows = NOBODY) -> Opinions:
        """Return what they say together, alone if any may speak alone, and apart."""
        together, alone, apart = [], [], {}
        for member in self.members:
            scores = member.judge.judge(rows, cycle=cycle, outside=outside)
            own = _standardised(_logarithm(scores) if member.by_logarithm else scores, len(rows))
            if member.apart:
                apart[member.apart] = own
                continue
            together.append(_standardised(_relative_logarithm(scores, len(rows)), len(rows)))
            if member.alone:
                alone.append(own)
        return Opinions(np.mean(together, axis=0), _soft_maximum(alone) if alone else None, apart)

    def resemblance(
        self, reference: Rows, left: Rows, others: Rows, *, cycle: int
    ) -> list[tuple[Scores, Scores]]:
        """Return what every member that is a witness says; what is seen apart is no likeness of the others."""
        shared = [member.judge for member in self.members if not member.apart]
        judges = [judge for judge in shared if isinstance(judge, Recognises)]
        return [said for judge in judges for said in judge.resemblance(reference, left, others, cycle=cycle)]

    def witnesses(self, *, cycle: int) -> Sequence[Witness]:
        """Return every member that is a witness, in their order."""
        judges = [member.judge for member in self.members if isinstance(member.judge, Apart)]
        return [witness for judge in judges for witness in judge.witnesses(cycle=cycle)]


def _standardised(scores: Scores, n_inside: int) -> Scores:
    centre, spread = location_and_spread(scores[:n_inside])
    return (scores - centre) / spread


def _logarithm(scores: Scores) -> Scores:
    logarithms: Scores = np.log(np.maximum(scores, SMALLEST_SCORE))
    return logarithms


def _relative_logarithm(scores: Scores, n_inside: int) -> Scores:
    """Return the logarithm of scores over their median; scores without a positive median have none and stay."""
    median = np.median(scores[:n_inside])
    if median <= 0:
        return scores
    # An excess may be 0 or less; the floor is far below what is normal and does not stretch the spread.
    logarithms: Scores = np.log(np.maximum(scores / median, SMALLEST_RATIO))
    return logarithms


def _soft_maximum(standardised: Sequence[Scores]) -> Scores:
    combined: Scores = np.logaddexp.reduce(standardised, axis=0) - np.log(len(standardised))
    return combined


def _one_scale(scores: Scores, fold_of: Rows, apart: Scores) -> Scores:
    medians = np.array([np.median(scores[fold_of == fold]) for fold in range(len(apart))])
    whole = np.median(scores)
    if (medians <= 0).any():
        # Scores that may be negative have no ratio scale; a shift puts their medians together.
        shift = whole - medians
        return np.concatenate([scores + shift[fold_of], (apart + shift[:, None]).mean(axis=0)])
    scale = whole / medians
    return np.concatenate([scores * scale[fold_of], (apart * scale[:, None]).mean(axis=0)])
