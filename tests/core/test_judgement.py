"""One cycle's judgement: whose opinion counts, against whom, and what follows."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import pytest

from irp_kedro.core.detector import NOBODY, BlindSet, Rows, Scores
from irp_kedro.core.judgement import Judgement, choose_reference, judge_images
from irp_kedro.core.judging import Opinions
from irp_kedro.core.removal import AllAbove
from irp_kedro.parameters import RefinementParameters

NAMES = tuple("abcdefgh")
EIGHT = np.arange(8)
IMAGES = BlindSet(image_ids=NAMES, digests=NAMES)


class Says:
    """Tells one or several opinions of image 0, 1, ... and remembers whom it was asked to learn from."""

    def __init__(self, opinions: Sequence[Any]) -> None:
        self.opinions = np.array(opinions, dtype=float)
        self.references: list[list[int]] = []

    def judge(self, rows: Rows, *, cycle: int, outside: Rows = NOBODY) -> Scores | Opinions:
        self.references.append(rows.tolist())
        said = self.opinions[..., np.concatenate([rows, outside])]
        return said if said.ndim == 1 else Opinions(*said)


def rule(**changes: Any) -> RefinementParameters:
    asked = {
        "threshold": "false_discovery",
        "false_discovery_rate": 0.1,
        "tail_factor": 1.0,
        "alone_factor": 2.0,
    }
    return RefinementParameters(**{**asked, **changes})


def test_the_reference_is_the_most_normal_part_under_the_last_judging() -> None:
    last = dict(zip(NAMES, [5, 1, 2, 9, 3, 4, 8, 0], strict=True))
    asked = Says(np.zeros(8))
    chosen = choose_reference(asked, IMAGES, EIGHT, rule(reference=0.5), last)
    assert chosen.tolist() == [1, 2, 4, 7]
    assert asked.references == []  # nobody needs to judge again for that


@pytest.mark.parametrize(("variants", "expected"), [([3, 6], [1, 3, 6, 7]), ([0, 3, 6], [0, 1, 6, 7])])
def test_a_variant_is_part_of_the_reference_up_to_half_of_it(variants: list[int], expected: list[int]) -> None:
    last = dict(zip(NAMES, [5, 1, 2, 9, 3, 4, 8, 0], strict=True))
    asked, known = rule(reference=0.5), np.array(variants)
    chosen = choose_reference(Says(np.zeros(8)), IMAGES, EIGHT, asked, last, variants=known)
    assert chosen.tolist() == expected


def test_before_the_first_judging_the_judge_is_asked_of_the_whole_set() -> None:
    asked = Says([5, 1, 2, 9, 3, 4, 8, 0])
    chosen = choose_reference(asked, IMAGES, EIGHT, rule(reference=0.5), {})
    assert chosen.tolist() == [1, 2, 4, 7]
    assert asked.references == [EIGHT.tolist()]


def test_those_that_may_speak_alone_say_who_is_normal() -> None:
    together, alone = [0, 9, 8, 0, 7, 6, 0, 5], [5, 1, 2, 9, 3, 4, 8, 0]
    asked = Says([together, alone])
    assert choose_reference(asked, IMAGES, EIGHT, rule(reference=0.5), {}).tolist() == [1, 2, 4, 7]
    judged = judge_images(asked, IMAGES, EIGHT, EIGHT, rule(), cycle=1)
    assert judged.ordering.tolist() == alone
    last = judged.ordering_by_id(IMAGES)
    assert choose_reference(asked, IMAGES, EIGHT, rule(reference=0.5), last).tolist() == [1, 2, 4, 7]


def test_a_single_opinion_says_who_is_normal_itself() -> None:
    judged = judge_images(Says([5, 1, 2, 9, 3, 4, 8, 0]), IMAGES, EIGHT, EIGHT, rule(), cycle=1)
    assert judged.ordering.tolist() == judged.scores.tolist()


def test_nothing_is_learnt_from_images_that_have_left() -> None:
    last = dict.fromkeys(NAMES, 0.0)
    training = np.array([0, 3, 5])
    assert choose_reference(Says(np.zeros(8)), IMAGES, training, rule(), last).tolist() == [0, 3, 5]


def test_without_a_part_asked_for_the_reference_is_the_set_and_nobody_is_asked() -> None:
    asked = Says(np.zeros(8))
    training = np.array([0, 3, 5])
    assert choose_reference(asked, IMAGES, training, rule(reference=1.0), {}).tolist() == [0, 3, 5]
    assert asked.references == []


@pytest.mark.parametrize("restore", [True, False])
def test_who_has_left_is_judged_again_only_where_it_may_return(*, restore: bool) -> None:
    asked = Says(np.arange(8.0))
    judged = judge_images(asked, IMAGES, EIGHT[:6], EIGHT[1:5], rule(restore=restore), cycle=1)
    assert judged.rows.tolist() == (EIGHT.tolist() if restore else EIGHT[:6].tolist())
    assert judged.scores.tolist() == judged.rows.tolist()
    assert judged.inside.tolist() == (judged.rows < 6).tolist()
    assert asked.references == [[1, 2, 3, 4]]
    assert judged.median == 2.5


def judgement() -> Judgement:
    return Judgement(
        rows=EIGHT,
        inside=np.array([True] * 6 + [False] * 2),
        scores=np.array([0.0, 3, 0, 5, 4, 0, 9, 1]),
        median=0.0,
        limit=2.0,
        ordering=np.array([7.0, 6, 5, 4, 3, 2, 1, 0]),
    )


def test_the_worst_of_the_set_leave_first_and_a_locked_one_never() -> None:
    judged = judgement()
    assert judged.n_above == 3
    assert judged.leaving(AllAbove(), 8, NOBODY).tolist() == [3, 4, 1]
    assert judged.leaving(AllAbove(), 8, np.array([3])).tolist() == [4, 1]
    assert judged.leaving(AllAbove(), 0, NOBODY).tolist() == []


def test_everyone_judged_is_named_with_score_and_ordering() -> None:
    assert judgement().by_id(IMAGES)["d"] == 5.0
    assert judgement().ordering_by_id(IMAGES) == dict(zip(NAMES, range(7, -1, -1), strict=True))


def test_who_is_outside_returns_unless_above_the_limit() -> None:
    assert judgement().returning().tolist() == [7]


def test_in_doubt_is_who_is_beyond_a_share_of_the_way_to_the_limit_and_nobody_locked() -> None:
    judged = judgement()  # the median is 0, the limit 2
    assert judged.doubtful(0.3, NOBODY).tolist() == [1, 3, 4, 6, 7]
    assert judged.doubtful(0.5, NOBODY).tolist() == [1, 3, 4, 6]
    assert judged.doubtful(0.3, np.array([3, 7])).tolist() == [1, 4, 6]


def test_without_doubt_not_even_one_above_the_limit_is_doubted() -> None:
    assert judgement().doubtful(1.0, NOBODY).tolist() == []


def test_every_decision_is_recorded_with_what_it_was_based_on() -> None:
    leaves, returns = judgement().decisions(3, IMAGES, np.array([3]), np.array([7]))
    assert (leaves.cycle, leaves.action, leaves.image_id, leaves.score) == (3, "removed", "d", 5.0)
    assert (returns.cycle, returns.action, returns.image_id, returns.score) == (3, "restored", "h", 1.0)
    assert {(decision.median_score, decision.threshold) for decision in (leaves, returns)} == {(0.0, 2.0)}


class Recognising(Says):
    """Two opinions, of which the second counts for little, and a witness that knows how alike everyone is."""

    def __init__(self, scores: Sequence[float], likeness: Sequence[float]) -> None:
        super().__init__([scores, np.array(scores) / 100])
        self.likeness = np.array(likeness, dtype=float)
        self.asked: list[tuple[list[int], list[int], list[int]]] = []

    def resemblance(
        self, reference: Rows, left: Rows, others: Rows, *, cycle: int
    ) -> list[tuple[Scores, Scores]]:
        self.asked.append((reference.tolist(), left.tolist(), others.tolist()))
        return [(self.likeness[left], self.likeness[others])]


N_NORMAL, N_DEFECTS = 40, 10
DEFECTS = np.arange(N_NORMAL, N_NORMAL + N_DEFECTS)
ALIKE, OTHERWISE = N_NORMAL + N_DEFECTS, N_NORMAL + N_DEFECTS + 1  # both in doubt
MANY = BlindSet(*2 * (tuple(f"{number:02}" for number in range(OTHERWISE + 1)),))


def set_with_two_in_doubt(n_defects: int = N_DEFECTS) -> Recognising:
    """Return the judge of normal images at -1 to 1, defects at 30 and more, and two in between."""
    defects = [30.0 + number for number in range(n_defects)] + [0.0] * (N_DEFECTS - n_defects)
    scores = [*np.linspace(-1, 1, N_NORMAL), *defects, 3.0, 3.1]
    likeness = [*np.full(N_NORMAL, -3.0), *np.tile([-0.1, 0.1], N_DEFECTS // 2), 0.0, -2.0]
    return Recognising(scores, likeness)


def judged_by(judge: Recognising, training: Rows | None = None, **changes: Any) -> Judgement:
    reviewed = changes.pop("reviewed", (NOBODY, NOBODY))
    everyone = np.arange(len(MANY)) if training is None else training
    asked = rule(tail_factor=1.5, **changes)
    return judge_images(judge, MANY, everyone, np.arange(N_NORMAL), asked, cycle=1, reviewed=reviewed)


def test_who_is_in_doubt_and_like_those_beyond_the_limit_leaves_after_them() -> None:
    judge = set_with_two_in_doubt()
    judged = judged_by(judge)
    [(reference, left, others)] = judge.asked
    assert (reference, left) == (list(range(N_NORMAL)), DEFECTS.tolist())
    assert others[:2] == [ALIKE, OTHERWISE]
    assert sorted(others[2:]) == reference  # normal images, to hold the two against
    assert judged.leaving(AllAbove(), 99, NOBODY).tolist() == [*DEFECTS[::-1].tolist(), ALIKE]
    assert judged.doubtful(0.3, NOBODY).tolist() == [*DEFECTS.tolist(), ALIKE, OTHERWISE]
    assert judged.scores[OTHERWISE] == judged_by(judge, resemblance=False).scores[OTHERWISE]


def test_the_record_says_who_left_by_resemblance() -> None:
    judged = judged_by(set_with_two_in_doubt())
    decisions = judged.decisions(1, MANY, np.array([DEFECTS[0], ALIKE]), NOBODY)
    assert [decision.by for decision in decisions] == ["judge", "resemblance"]
    assert all(decision.score > decision.threshold for decision in decisions)


@pytest.mark.parametrize("changes", [{"resemblance": False}, {"doubt": 1.0}], ids=str)
def test_resemblance_can_be_left_out_of_account(changes: dict[str, Any]) -> None:
    judge = set_with_two_in_doubt()
    assert judged_by(judge, **changes).leaving(AllAbove(), 99, NOBODY).tolist() == DEFECTS[::-1].tolist()
    assert judge.asked == []


def test_of_seven_beyond_the_limit_nobody_learns_what_defects_look_like() -> None:
    judge = set_with_two_in_doubt(n_defects=7)
    assert judged_by(judge).n_above == 7
    assert judge.asked == []


def test_one_whom_a_person_kept_is_no_example_and_one_whom_a_person_removed_is() -> None:
    judge = set_with_two_in_doubt()
    judged_by(judge, reviewed=(DEFECTS[:1], NOBODY))
    judged_by(judge, reviewed=(NOBODY, np.array([5, OTHERWISE])))
    assert [left for _, left, _ in judge.asked] == [DEFECTS[1:].tolist(), [5, *DEFECTS.tolist(), OTHERWISE]]
    in_doubt = [[row for row in others if row >= N_NORMAL] for *_, others in judge.asked]
    assert in_doubt == [[ALIKE, OTHERWISE], [ALIKE]]


def test_who_is_no_more_like_those_beyond_the_limit_than_normal_images_are_stays() -> None:
    judge = set_with_two_in_doubt()
    judge.likeness[:N_NORMAL] = judge.likeness[ALIKE]
    assert judged_by(judge).leaving(AllAbove(), 99, NOBODY).tolist() == DEFECTS[::-1].tolist()


def test_who_has_left_returns_only_where_it_is_less_alike_than_is_asked_at_the_limit() -> None:
    judge = set_with_two_in_doubt()
    spread = judge.likeness[DEFECTS].std(ddof=1)
    for deviations, returns in ((-1.9, False), (-2.1, True)):
        judge.likeness[ALIKE] = deviations * spread
        assert (ALIKE in judged_by(judge).leaving(AllAbove(), 99, NOBODY)) is False
        outside = judged_by(judge, training=np.setdiff1d(np.arange(len(MANY)), [ALIKE]))
        assert (ALIKE in outside.returning()) is returns


class SeeingCompany(Recognising):
    """Also knows who is in company: near to others of a group, all alike or none."""

    def __init__(self, scores: Sequence[float], likeness: Sequence[float], alike: Rows) -> None:
        super().__init__(scores, likeness)
        self.alike = alike
        self.compared: list[list[int]] = []

    def witnesses(self, *, cycle: int) -> list[Self]:
        return [self]

    def company(self, group: Rows, asked: Rows, nth: int) -> Scores:
        self.compared.append(asked.tolist())
        among = np.isin(asked, self.alike) & (np.isin(group, self.alike).sum() > nth)
        return np.where(among, 0.5, np.where(asked < N_NORMAL, 1.0, 9.0))


SOME_DEFECTS, VARIANT = DEFECTS[:2], DEFECTS[2:]


def set_with_a_variant() -> SeeingCompany:
    judge = set_with_two_in_doubt()
    return SeeingCompany(judge.opinions[0], judge.likeness, VARIANT)


def test_a_variant_stays_at_the_median_and_is_not_in_doubt() -> None:
    judged = judged_by(set_with_a_variant())
    assert judged.variants.tolist() == VARIANT.tolist()
    assert (judged.scores[VARIANT] == judged.median).all()
    assert set(judged.leaving(AllAbove(), 99, NOBODY)) == set(SOME_DEFECTS)
    assert not set(judged.doubtful(0.3, NOBODY)) & set(VARIANT)


@pytest.mark.parametrize("in_reference", [0, 5])
def test_a_variant_moves_no_limit_wherever_it_stands(in_reference: int) -> None:
    judge, asked = set_with_a_variant(), rule(tail_factor=1.5)
    others = np.setdiff1d(np.arange(len(MANY)), VARIANT)
    without = Says(judge.opinions[:, others])
    fewer = BlindSet(*2 * (tuple(f"{number:02}" for number in range(len(others))),))
    expected = judge_images(without, fewer, np.arange(len(fewer)), np.arange(N_NORMAL), asked, cycle=1)
    reference = np.concatenate([np.arange(N_NORMAL), VARIANT[:in_reference]])
    judged = judge_images(judge, MANY, np.arange(len(MANY)), reference, asked, cycle=1)
    assert judged.variants.tolist() == VARIANT.tolist()
    np.testing.assert_array_equal(judged.scores[others], expected.scores)


def test_no_suspect_is_a_normal_image_that_others_are_held_against() -> None:
    judge = set_with_a_variant()
    reference = np.concatenate([np.arange(N_NORMAL), VARIANT[:5]])
    judge_images(judge, MANY, np.arange(len(MANY)), reference, rule(tail_factor=1.5), cycle=1)
    for asked in judge.compared:
        assert max(asked) < N_NORMAL or min(asked) >= N_NORMAL


KNOWN = np.arange(8)  # eight of the reference, found to belong to a variant in an earlier cycle


def suspects_of(judge: SeeingCompany, known: Rows) -> list[int]:
    """Return whom the first comparison asks after those that are held to be normal."""
    judge_images(
        judge,
        MANY,
        np.arange(len(MANY)),
        np.arange(N_NORMAL),
        rule(tail_factor=1.5),
        cycle=2,
        variants=known,
    )
    return judge.compared[0]


def test_a_variant_that_the_judge_has_learnt_from_moves_no_limit() -> None:
    def doubted(place: float) -> list[bool]:
        judge = set_with_a_variant()
        judge.opinions[:, KNOWN] = [[place], [place / 100]]
        found = []
        for score in np.linspace(0.5, 3.0, 26):
            judge.opinions[:, OTHERWISE] = score, score / 100
            judge.compared.clear()
            found.append(OTHERWISE in suspects_of(judge, KNOWN))
        return found

    assert set(doubted(0.0)) == {True, False}
    for place in (-9.0, 0.9, 9.0):
        assert doubted(place) == doubted(0.0)


def test_nobody_is_held_against_a_variant_in_place_of_normal_images() -> None:
    for known, drawn in ((KNOWN, False), (NOBODY, True)):
        judge = set_with_a_variant()
        suspects_of(judge, known)
        normal = [row for asked in judge.compared for row in asked if row < N_NORMAL]
        assert bool(set(normal) & set(KNOWN.tolist())) is drawn


def test_the_same_normal_images_are_drawn_in_every_cycle() -> None:
    judge, everyone = set_with_a_variant(), np.arange(len(MANY))
    for cycle in (1, 2):
        judge_images(judge, MANY, everyone, np.arange(N_NORMAL), rule(tail_factor=1.5), cycle=cycle)
    half = len(judge.compared) // 2
    assert judge.compared[:half] == judge.compared[half:]


def test_a_variant_is_no_example_of_a_defect() -> None:
    judge = set_with_a_variant()
    judged_by(judge)
    assert judge.asked == []  # two are left beyond the limit
    judged_by(judge, reviewed=(NOBODY, np.arange(8)))
    assert [left for _, left, _ in judge.asked] == [[*range(8), *SOME_DEFECTS.tolist()]]


def test_a_variant_that_has_left_returns() -> None:
    judge = set_with_a_variant()
    judged = judged_by(judge, training=np.setdiff1d(np.arange(len(MANY)), DEFECTS))
    assert judged.returning().tolist() == VARIANT.tolist()


def test_a_person_who_removed_eight_of_a_variant_has_called_it_a_fault() -> None:
    judge = set_with_two_in_doubt()
    judge = SeeingCompany(judge.opinions[0], judge.likeness, np.array([*range(8), *DEFECTS]))
    judged = judged_by(judge, reviewed=(NOBODY, np.arange(8)))
    assert not len(judged.variants)
    assert set(judged.leaving(AllAbove(), 99, NOBODY)) >= set(DEFECTS)


def test_who_a_person_removed_is_no_suspect() -> None:
    judge = set_with_a_variant()
    judged = judged_by(judge, reviewed=(NOBODY, VARIANT[:1]))
    assert VARIANT[0] not in {row for asked in judge.compared for row in asked}
    assert not len(judged.variants)  # the seven that are left are too few


def test_variants_can_be_left_out_of_account() -> None:
    judge = set_with_a_variant()
    judged = judged_by(judge, variants=False)
    assert set(judged.leaving(AllAbove(), 99, NOBODY)) == {*DEFECTS.tolist(), ALIKE}
    assert judge.compared == []


def test_where_nobody_is_doubted_a_variant_is_sought_beyond_the_limit_only() -> None:
    judge = set_with_a_variant()
    judged_by(judge, doubt=1.0)
    assert DEFECTS.tolist() in judge.compared
