"""One cycle's judgement of a set: against whom it is judged, what was said of each image, and what follows."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from irp_kedro.core import seeding
from irp_kedro.core.detector import NOBODY, BlindSet, Rows, Scores
from irp_kedro.core.judging import Judge, Opinions
from irp_kedro.core.removal import JUDGE, RESEMBLANCE, Decision, RemovalPolicy
from irp_kedro.core.resemblance import COMPARED, Recognises, alike, may_be_asked
from irp_kedro.core.variants import SeesCompany, find_variants
from irp_kedro.core.weighing import ordering_of, weigh
from irp_kedro.parameters import RefinementParameters

JUST_BEYOND = 1e-6  # of the way to the limit


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """What the judge said of the set, and of the images outside it where they may return, in one cycle.

    Attributes:
        rows: who was judged, in blind order.
        inside: (n_rows,) whether each is in the set.
        scores: (n_rows,) higher = more anomalous.
        median: of the scores of the judge's reference.
        limit: above which images are outliers; 1 where several opinions are weighed.
        ordering: (n_rows,) the opinion that the next reference is chosen by: of those that spoke alone, if any.
        apart: name of a judge heard apart -> those that only such a judge finds above the limit, it the most.
        alike: those of them that are above the limit because they resemble others that are.
        variants: those of them that belong to a variant of the product (decision 0045); they lie at the median.
    """

    rows: Rows
    inside: npt.NDArray[np.bool_]
    scores: Scores
    median: float
    limit: float
    ordering: Scores
    apart: Mapping[str, Rows] = field(default_factory=dict)
    alike: Rows = field(default_factory=lambda: NOBODY)
    variants: Rows = field(default_factory=lambda: NOBODY)

    @property
    def way(self) -> Scores:
        """How far each has come from the median, 0, to the limit, 1."""
        return (self.scores - self.median) / (self.limit - self.median)

    @property
    def n_above(self) -> int:
        """How many images of the set are above the limit."""
        return int((self.scores[self.inside] > self.limit).sum())

    def leaving(self, policy: RemovalPolicy, allowed: int, locked: Rows) -> Rows:
        """Return who leaves, worst first; never one of the ``locked``."""
        # The judge saw the locked images like all others; only the policy does not.
        scores = np.where(np.isin(self.rows, locked), -np.inf, self.scores)[self.inside]
        chosen = policy.select(scores, self.limit, allowed=max(0, allowed))
        return self.rows[self.inside][chosen]

    def returning(self) -> Rows:
        """Return who is outside the set and not above the limit."""
        return self.rows[~self.inside & (self.scores <= self.limit)]

    def doubtful(self, doubt: float, locked: Rows) -> Rows:
        """Return who is beyond ``doubt`` of the way from the median to the limit; never one of the ``locked``.

        At 1 nobody is: what is above the limit has left, or a policy has let it stay.
        """
        if doubt == 1:
            return NOBODY
        far = self.scores > self.median + doubt * (self.limit - self.median)
        return np.setdiff1d(self.rows[far], locked)

    def by_id(self, images: BlindSet) -> dict[str, float]:
        """Return the score of every judged image by its id."""
        return self._named(self.scores, images)

    def ordering_by_id(self, images: BlindSet) -> dict[str, float]:
        """Return what the next reference is chosen by, of every judged image by its id."""
        return self._named(self.ordering, images)

    def decisions(self, cycle: int, images: BlindSet, leaving: Rows, returning: Rows) -> tuple[Decision, ...]:
        """Return a record of everyone who leaves, then of everyone who returns."""
        score_of = self.by_id(images)
        by = {row: name for name, rows in self.apart.items() for row in rows.tolist()}
        by |= dict.fromkeys(self.alike.tolist(), RESEMBLANCE)
        return tuple(
            Decision(
                cycle=cycle,
                action=action,
                image_id=images.image_ids[row],
                digest=images.digests[row],
                score=score_of[images.image_ids[row]],
                median_score=self.median,
                threshold=self.limit,
                by=by.get(row, JUDGE) if action == "removed" else JUDGE,
            )
            for action, rows in (("removed", leaving), ("restored", returning))
            for row in rows.tolist()
        )

    def _named(self, values: Scores, images: BlindSet) -> dict[str, float]:
        return {
            images.image_ids[row]: value for row, value in zip(self.rows.tolist(), values.tolist(), strict=True)
        }


def choose_reference(
    judge: Judge,
    images: BlindSet,
    training: Rows,
    rule: RefinementParameters,
    last: Mapping[str, float],
    *,
    variants: Rows = NOBODY,
) -> Rows:
    """Return whom the judge learns from: the most normal of the set under the last judging (decision 0041).

    It is as large in every cycle, so that an image that may return is held against what it was held against
    when it left. Defects that resemble each other hide one another in the whole set, and widen the spread
    that the threshold is measured in. Those that may speak alone say who is normal (decision 0042), and
    variants of the product are (decision 0048).

    Args:
        judge: asked once more where nobody has judged yet.
        images: the set before refinement.
        training: the set as it is now; all of it is the reference where ``rule.reference`` is 1.
        rule: says how large the part is, of the set before refinement.
        last: the ordering of the last judging, by id; empty before the first.
        variants: who of the set was found to belong to a variant by then.
    """
    if rule.reference == 1:
        return training
    if last:
        scores = np.array([last[images.image_ids[row]] for row in training.tolist()])
    else:
        scores = ordering_of(judge.judge(training, cycle=0))
    size = max(2, math.ceil(rule.reference * len(images)))
    ordered = training[np.argsort(scores, kind="stable")]
    known = ordered[np.isin(ordered, variants)][: size // 2]  # limits are measured by the others
    return np.sort(np.concatenate([known, ordered[~np.isin(ordered, known)]])[:size])


def judge_images(
    judge: Judge,
    images: BlindSet,
    training: Rows,
    reference: Rows,
    rule: RefinementParameters,
    *,
    cycle: int,
    reviewed: tuple[Rows, Rows] = (NOBODY, NOBODY),
    variants: Rows = NOBODY,
    seed: int = 0,
) -> Judgement:
    """Return what ``judge`` says of the set, and of those that left it where they may return.

    Suspects that form a variant of the product are none, and move no limit (decision 0045). Whoever belonged
    to one before, and is no suspect now that the judge has learnt from it, still does (decision 0048). Where
    enough are beyond the limit to say what defects look like, those in doubt that resemble them are beyond it
    as well (decision 0044), and rank after them.

    Args:
        judge: who decides.
        images: the set before refinement.
        training: the set as it is now.
        reference: whom the judge learns from, and whose scores the limit is measured by.
        rule: of the threshold.
        cycle: names the random streams.
        reviewed: whom a person kept, who are no example of a defect whatever their score, and whom a person
            removed, who are.
        variants: who belonged to a variant after the last cycle.
        seed: of the draw of normal images that suspects are held against.
    """
    everyone = np.arange(len(images)) if rule.restore else training
    outside = np.setdiff1d(everyone, reference)
    opinions = judge.judge(reference, cycle=cycle, outside=outside)
    judged = _judgement(opinions, reference, outside, training, rule, moving_nothing=variants)
    if not isinstance(opinions, Opinions):
        return judged
    suspects = np.setdiff1d(judged.rows[judged.way > rule.doubt], reviewed[1])
    known = np.setdiff1d(variants, suspects)
    # The same order in every cycle: a variant does not come and go with those it is held against.
    drawn = seeding.stream(seed, "variants").permutation(len(images))
    normal = drawn[np.isin(drawn, np.setdiff1d(reference, np.union1d(suspects, known)))]
    if rule.variants and isinstance(judge, SeesCompany):
        found = find_variants(
            judge.witnesses(cycle=cycle), normal, suspects, n_judged=len(judged.rows), faults=reviewed[1]
        )
        found = np.union1d(found, known)
        judged = _judgement(opinions, reference, outside, training, rule, variants=found, moving_nothing=found)
    if rule.resemblance and isinstance(judge, Recognises):
        asking = partial(judge.resemblance, reference, cycle=cycle)
        judged = _with_those_alike(judged, asking, normal, reviewed, rule.doubt)
    return judged


def _judgement(
    opinions: Scores | Opinions,
    reference: Rows,
    outside: Rows,
    training: Rows,
    rule: RefinementParameters,
    *,
    variants: Rows = NOBODY,
    moving_nothing: Rows,
) -> Judgement:
    """Return what opinions amount to; the variants lie at the median of those that move something."""
    rows = np.concatenate([reference, outside])
    scores, median, limit, apart = weigh(opinions, len(reference), rule, counted=~np.isin(rows, moving_nothing))
    scores = np.where(np.isin(rows, variants), median, scores)
    order = np.argsort(rows)  # blind order, whoever was the reference
    return Judgement(
        rows=rows[order],
        inside=np.isin(rows, training)[order],
        scores=scores[order],
        median=median,
        limit=limit,
        ordering=ordering_of(opinions)[order],
        apart={name: np.setdiff1d(rows[found], variants) for name, found in apart.items()},
        variants=variants,
    )


def _with_those_alike(
    judged: Judgement,
    asking: Callable[[Rows, Rows], list[tuple[Scores, Scores]]],
    normal: Rows,
    reviewed: tuple[Rows, Rows],
    doubt: float,
) -> Judgement:
    """Return the judgement with those in doubt beyond the limit that resemble the ones beyond it.

    Args:
        judged: what the judges said.
        asking: the witnesses, how alike those that left are to each other, and others to them.
        normal: who is normal and no suspect, in an order that was drawn.
        reviewed: whom a person kept, and whom a person removed.
        doubt: where it begins.
    """
    kept, removed = reviewed
    way = judged.way
    # What only a judge apart finds is no likeness of what the witnesses see.
    no_examples = np.concatenate([kept, *judged.apart.values()])
    left = np.union1d(np.setdiff1d(judged.rows[way > 1], no_examples), removed)
    between = (way > doubt) & (way <= 1) & ~np.isin(judged.rows, removed)
    if not between.any() or not may_be_asked(len(left), len(judged.rows)):
        return judged
    in_doubt = judged.rows[between]
    said = asking(left, np.concatenate([in_doubt, normal[:COMPARED]]))
    if not said:
        return judged
    witnesses = [(among, others[: len(in_doubt)], others[len(in_doubt) :]) for among, others in said]
    # Who has left is held against what is asked at the limit: it does not come and go with each drawn judge.
    asked = np.where(judged.inside[between], (way[between] - doubt) / (1 - doubt), 1.0)
    found = in_doubt[alike(witnesses, asked)]
    raised = np.where(np.isin(judged.rows, found), judged.limit * (1 + JUST_BEYOND * (1 + way)), judged.scores)
    return replace(judged, scores=raised, alike=found)
