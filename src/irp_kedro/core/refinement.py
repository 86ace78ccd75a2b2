"""THE LOOP: score, threshold, remove, retrain (IRP paper, Algorithm 1 and Eq. 5 and 6)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from irp_kedro.core import seeding
from irp_kedro.core.detector import NOBODY, AnomalyDetector, BlindSet, Rows
from irp_kedro.core.doubt import share_of_epochs, train
from irp_kedro.core.judgement import choose_reference, judge_images
from irp_kedro.core.judging import Judge
from irp_kedro.core.removal import REVIEW, AllAbove, Decision, RemovalPolicy, WorstOnly
from irp_kedro.core.review import NO_REVIEW, Review
from irp_kedro.errors import ReviewError
from irp_kedro.parameters import RefinementParameters, Strategy


@dataclass(frozen=True, kw_only=True)
class RefinementCycle:
    """What one turn of the loop did.

    Attributes:
        cycle: 0 is the set before anything was removed.
        kept: ids of the images in the set after this cycle, in blind order.
        decisions: who left, worst first, then who returned; in cycle 0, what a person's review decided.
        judged: score that the judge gave each image in this cycle, by id; where images may return, those that
            have left are among them; empty where nobody judged.
        ordering: what the next cycle's reference is chosen by, of all who were judged; empty where nobody was.
        median_score: of the scores of the judge's reference; ``None`` where nobody judged.
        threshold: above which images were outliers; ``None`` where nobody judged.
        above: how many images of the set were above it, whether or not they left.
        doubtful: ids of the images that stayed in the set and are in doubt (decision 0043).
        doubtful_share: of this cycle's epochs in which each of them took part.
        variants: ids of the suspects that stayed because they form a variant of the product (decision 0045),
            but for those that a person kept.
        losses: mean training loss of each epoch of this cycle.
        epochs: spent of the budget so far, this cycle's included; where images are in doubt, more and shorter
            ones were trained.
        stop: why the loop ended, on the last cycle; empty before it.
        final_scores: score of the trained detector for each kept image, by id, on the last cycle; else empty.
    """

    cycle: int
    kept: tuple[str, ...]
    decisions: tuple[Decision, ...] = ()
    judged: dict[str, float]
    ordering: dict[str, float] = field(default_factory=dict)
    median_score: float | None = None
    threshold: float | None = None
    above: int = 0
    doubtful: tuple[str, ...] = ()
    doubtful_share: float = 0.0
    variants: tuple[str, ...] = ()
    losses: tuple[float, ...]
    epochs: int
    stop: str = ""
    final_scores: dict[str, float]

    @property
    def is_last(self) -> bool:
        """Whether the loop ended with this cycle."""
        return self.stop != ""


@dataclass(frozen=True, kw_only=True)
class LoopPlan:
    """How a strategy walks the loop; all strategies spend the same ``total_epochs`` (decision 0016)."""

    policy: RemovalPolicy
    rule: RefinementParameters
    max_cycles: int
    total_epochs: int
    review: Review = NO_REVIEW
    seed: int = 0


def plan_for(
    strategy: Strategy,
    rule: RefinementParameters,
    total_epochs: int,
    review: Review = NO_REVIEW,
    *,
    seed: int = 0,
) -> LoopPlan:
    """Return the loop of a strategy: vanilla neither judges nor honours a review, one-shot judges once."""
    worst_only = rule.policy == "worst_only"
    policy: RemovalPolicy = WorstOnly() if worst_only else AllAbove(rule.max_removed_per_cycle)
    plan = LoopPlan(
        policy=policy,
        rule=rule,
        max_cycles=rule.max_cycles,
        total_epochs=total_epochs,
        review=review,
        seed=seed,
    )
    match strategy:
        case "vanilla":
            return replace(plan, max_cycles=0, review=NO_REVIEW)
        case "one_shot_removal":
            return replace(plan, max_cycles=min(1, rule.max_cycles), policy=AllAbove())
        case "iterative_refinement":
            return plan


def refine(
    detector: AnomalyDetector,
    judge: Judge,
    images: BlindSet,
    plan: LoopPlan,
    past: Sequence[RefinementCycle] = (),
) -> Iterator[RefinementCycle]:
    """Refine a training set: yield the set before, then one cycle at a time; the last one carries its reason.

    Where images may return (``rule.restore``), those that left are judged again by the judge of each cycle.
    What a person has reviewed is settled before the first cycle (decision 0034). Images in doubt stay in the
    set, and the detector is trained on them seldom (decision 0043).

    Whatever is left of the epoch budget when the loop stops is spent on the set it stopped with, and the last
    epoch counts: no split chooses an earlier one (decision 0010).

    Args:
        detector: trained as it was after the last of the ``past`` cycles.
        judge: who decides.
        images: the set before refinement.
        plan: how the loop is walked.
        past: cycles already done, from 0, of a loop that was interrupted; they are not yielded again.
    """
    rule = plan.rule
    locked, dismissed = plan.review.kept_rows(images), plan.review.removed_rows(images)
    training: Rows = np.setdiff1d(np.arange(len(images)), dismissed)
    _refuse_to_train_on_nothing(training)
    if plan.max_cycles == 0:
        losses = detector.fit(training, epochs=plan.total_epochs)
        untouched = _untouched(images, training, losses, plan)
        yield _last(untouched, detector, images, training, "no cycle asked for")
        return
    last: dict[str, float] = {}  # the ordering of the last judging, by id
    variants: Rows = NOBODY
    if past:
        training, spent, quiet = _rows(images, past[-1].kept), past[-1].epochs, _quiet_cycles(past)
        last, variants = past[-1].ordering, _rows(images, past[-1].variants)
    else:
        spent, quiet = rule.pretrain_epochs, 0
        # Not even statistics are taken of a set that nothing is trained on.
        losses = detector.fit(training, epochs=spent) if spent else []  # line 2
        yield replace(_untouched(images, training, losses, plan), epochs=spent)
    for cycle in range(max(1, len(past)), plan.max_cycles + 1):  # lines 13-15
        reference = choose_reference(judge, images, training, rule, last, variants=variants)
        judged = judge_images(  # lines 3 and 4, Eq. 5
            judge,
            images,
            training,
            reference,
            rule,
            cycle=cycle,
            reviewed=(locked, dismissed),
            variants=variants,
            seed=plan.seed,
        )
        returning = np.setdiff1d(judged.returning(), dismissed) if rule.restore else NOBODY
        allowed = _may_leave(images, training, plan) + len(returning)
        leaving = judged.leaving(plan.policy, allowed, locked)  # lines 5-6, may be empty
        decisions = judged.decisions(cycle, images, leaving, returning)
        last = judged.ordering_by_id(images)
        training = np.union1d(np.setdiff1d(training, leaving), returning)  # lines 7-10, Eq. 6
        variants = np.setdiff1d(np.intersect1d(judged.variants, training), locked)
        doubtful = np.intersect1d(judged.doubtful(rule.doubt, locked), training)
        quiet = 0 if decisions else quiet + 1
        stop = _stop_reason(cycle, plan, quiet=quiet, allowed=_may_leave(images, training, plan))
        epochs = plan.total_epochs - spent if stop else rule.epochs_per_cycle
        n_judged = len(images) - len(dismissed)  # what a person removed tells nothing of those in doubt
        share = share_of_epochs(n_judged, n_judged - len(training))
        rng = seeding.stream(plan.seed, "doubt", cycle)
        losses = train(detector, training, doubtful, share=share, epochs=epochs, rng=rng)  # line 12
        spent += epochs
        record = RefinementCycle(
            cycle=cycle,
            kept=_ids(images, training),
            decisions=decisions,
            judged=judged.by_id(images),
            ordering=last,
            median_score=judged.median,
            threshold=judged.limit,
            above=judged.n_above,
            doubtful=_ids(images, doubtful),
            variants=_ids(images, variants),
            doubtful_share=share if len(doubtful) else 0.0,
            losses=tuple(losses),
            epochs=spent,
            final_scores={},
        )
        if stop:
            yield _last(record, detector, images, training, stop)
            return
        yield record


def _may_leave(images: BlindSet, training: Rows, plan: LoopPlan) -> int:
    # What a person removed is not held against the loop.
    judged = len(images) - len(plan.review.removed_rows(images))
    return int(plan.rule.max_removed_fraction * judged) - (judged - len(training))


def _refuse_to_train_on_nothing(training: Rows) -> None:
    if not len(training):
        raise ReviewError("The review removes every image of the training set; nothing is left to train on.")


def _stop_reason(cycle: int, plan: LoopPlan, *, quiet: int, allowed: int) -> str:
    if allowed <= 0:
        return f"max_removed_fraction ({plan.rule.max_removed_fraction:g}) reached"
    if quiet >= plan.rule.patience:
        changes = "removal or return" if plan.rule.restore else "removal"
        return f"no {changes} in {quiet} {'cycle' if quiet == 1 else 'cycles'} (patience)"
    if cycle == plan.max_cycles:
        return f"max_cycles ({plan.max_cycles}) reached"
    return ""


def _untouched(images: BlindSet, training: Rows, losses: list[float], plan: LoopPlan) -> RefinementCycle:
    return RefinementCycle(
        cycle=0,
        kept=_ids(images, training),
        decisions=tuple(_reviewed(images, plan.review)),
        judged={},
        losses=tuple(losses),
        epochs=plan.total_epochs,
        final_scores={},
    )


def _reviewed(images: BlindSet, review: Review) -> Iterator[Decision]:
    for action, rows in (("removed", review.removed_rows(images)), ("kept", review.kept_rows(images))):
        for row in rows.tolist():
            yield Decision(
                cycle=0,
                action=action,
                image_id=images.image_ids[row],
                digest=images.digests[row],
                score=None,
                median_score=None,
                threshold=None,
                by=REVIEW,
            )


def _last(
    record: RefinementCycle, detector: AnomalyDetector, images: BlindSet, training: Rows, stop: str
) -> RefinementCycle:
    scores = detector.score(training).tolist()
    return replace(record, stop=stop, final_scores=dict(zip(_ids(images, training), scores, strict=True)))


def _quiet_cycles(past: Sequence[RefinementCycle]) -> int:
    """Return how many cycles at the end removed nothing; cycle 0 is none of them."""
    quiet = 0
    for record in reversed(past[1:]):
        if record.decisions:
            break
        quiet += 1
    return quiet


def _rows(images: BlindSet, kept: Sequence[str]) -> Rows:
    position = {image_id: row for row, image_id in enumerate(images.image_ids)}
    return np.array([position[image_id] for image_id in kept], dtype=np.intp)


def _ids(images: BlindSet, rows: Rows) -> tuple[str, ...]:
    return tuple(images.image_ids[row] for row in rows)
