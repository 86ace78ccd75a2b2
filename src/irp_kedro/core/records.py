"""Tables that a user keeps: the removal log and the history of cycles."""

from collections.abc import Sequence
from dataclasses import asdict

import pandas as pd

from irp_kedro.core.refinement import RefinementCycle
from irp_kedro.core.removal import JUDGE, REVIEW

LOG_COLUMNS = (
    "cycle",
    "action",
    "image_id",
    "path",
    "digest",
    "score",
    "median_score",
    "threshold",
    "policy",
    "scoring",
    "detector",
    "judge",
)


def removal_log(
    cycles: Sequence[RefinementCycle],
    manifest: pd.DataFrame,
    *,
    policy: str,
    scoring: str,
    detector: str,
    judge: str,
) -> pd.DataFrame:
    """Return one row a decision, in order, with :data:`LOG_COLUMNS`; the path is joined by image id.

    Args:
        cycles: of one refinement, in order.
        manifest: of the set before it.
        policy: name of the removal policy.
        scoring: ``in_sample`` or ``held_out``.
        detector: name of the detector that was trained.
        judge: name of the detector that decided; what a judge heard apart decided has its name there, what
            resemblance to others decided says ``resemblance``, and what a person decided ``review``, there and
            for policy and scoring.
    """
    paths = dict(zip(manifest["image_id"], manifest["path"], strict=True))
    by_loop = {"policy": policy, "scoring": scoring, "judge": judge}
    rows = [
        {
            **asdict(decision),
            "path": paths[decision.image_id],
            "detector": detector,
            **by_loop,
            **_instead(decision.by, by_loop),
        }
        for cycle in cycles
        for decision in cycle.decisions
    ]
    return pd.DataFrame(rows, columns=list(LOG_COLUMNS))


def _instead(by: str, by_loop: dict[str, str]) -> dict[str, str]:
    if by == REVIEW:
        return dict.fromkeys(by_loop, REVIEW)
    return {} if by == JUDGE else {"judge": by}


def cycle_history(cycles: Sequence[tuple[RefinementCycle, float]]) -> pd.DataFrame:
    """Return one row a cycle: set size, removals, threshold, losses, epochs spent so far and seconds.

    Args:
        cycles: each with its wall time, seconds.
    """
    rows = [
        {
            "cycle": cycle.cycle,
            "images": len(cycle.kept),
            "removed": sum(decision.action == "removed" for decision in cycle.decisions),
            "restored": sum(decision.action == "restored" for decision in cycle.decisions),
            "above_threshold": cycle.above,
            "doubtful": len(cycle.doubtful),
            "doubtful_share": cycle.doubtful_share,
            "variants": len(cycle.variants),
            "median_score": cycle.median_score,
            "threshold": cycle.threshold,
            "epochs": cycle.epochs,
            "first_loss": cycle.losses[0] if cycle.losses else None,
            "last_loss": cycle.losses[-1] if cycle.losses else None,
            "seconds": seconds,
            "stop": cycle.stop,
        }
        for cycle, seconds in cycles
    ]
    return pd.DataFrame(rows)


def last_scores(cycles: Sequence[RefinementCycle]) -> dict[str, float]:
    """Return the last score of every image that was ever scored, by id.

    The judge's scores rank the images; where nobody judged (vanilla), the trained detector's do.
    """
    judged = {image: score for cycle in cycles for image, score in cycle.judged.items()}
    return judged or dict(cycles[-1].final_scores)
