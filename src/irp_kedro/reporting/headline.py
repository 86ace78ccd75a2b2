"""What a reader should know first, in plain sentences."""

from collections.abc import Mapping
from typing import Any

from irp_kedro.reporting.pages import Fact, number

Metrics = Mapping[str, Any]


def headline(vanilla: Metrics, refined: Metrics, oracle: Metrics) -> list[str]:
    """Return what was removed, how contaminated the set was and is, and what that did to the detector.

    Args:
        vanilla: metrics of the detector trained on the set as it was.
        refined: metrics of iterative refinement.
        oracle: metrics of the detector trained on the truly clean set.
    """
    return [_removals(refined), *_detection(vanilla["image"], refined["image"], oracle)]


def facts(vanilla: Metrics, refined: Metrics) -> list[Fact]:
    """Return the same as single numbers."""
    removals = refined["removals"]
    shown = [Fact(name="removed", value=str(removals["n_removed"]), note=f"of {removals['n_images']} images")]
    if removals["labels_known"]:
        before, after = contamination(removals)
        shown += [
            Fact(
                name="of them defects",
                value=str(removals["bad_removed"]),
                note=f"{removals['bad_left']} stayed",
            ),
            Fact(name="of them good", value=str(removals["good_removed"]), note="removed wrongly"),
            Fact(name="contamination", value=f"{percent(before)} → {percent(after)}", note="before → after"),
        ]
    if removals.get("n_doubtful"):
        told = (
            f"{removals['bad_doubtful']} of them defects" if removals["labels_known"] else "trained on seldom"
        )
        shown.append(Fact(name="stayed in doubt", value=str(removals["n_doubtful"]), note=told))
    if removals.get("n_variants"):
        told = f"{removals['bad_variants']} of them defects" if removals["labels_known"] else "please look"
        shown.append(Fact(name="stayed as a variant", value=str(removals["n_variants"]), note=told))
    image, was = refined["image"], vanilla["image"]
    if image.get("image_auroc") is not None and was.get("image_auroc") is not None:
        value = f"{number(was['image_auroc'])} → {number(image['image_auroc'])}"
        shown.append(Fact(name="image AUROC", value=value, note="as it was → refined"))
        alarms = percent(image["false_alarm_rate"])
        shown.append(
            Fact(name="F1", value=number(image["f1"]), note=f"false alarms {alarms}, at the stored threshold")
        )
    return shown


def contamination(removals: Mapping[str, Any]) -> tuple[float, float]:
    """Return the share of defects in the set before and after refinement.

    >>> contamination({"n_images": 10, "n_removed": 2, "bad_removed": 2, "bad_left": 2})
    (0.4, 0.25)
    """
    bad = removals["bad_removed"] + removals["bad_left"]
    left = removals["n_images"] - removals["n_removed"]
    return bad / removals["n_images"], removals["bad_left"] / left if left else 0.0


def percent(share: float) -> str:
    """Return a share for readers.

    >>> percent(0.1379)
    '13.8 %'
    """
    return f"{100 * share:.1f} %"


def _removals(refined: Metrics) -> str:
    removals = refined["removals"]
    n_removed, n_images = removals["n_removed"], removals["n_images"]
    counted = f"Iterative refinement removed {n_removed} of {n_images} training images"
    if not removals["labels_known"]:
        return f"{counted}. No label was known: whether they are defects, only a person can say."
    before, after = contamination(removals)
    if not n_removed:
        return f"{counted}; {percent(before)} of them are defects."
    bad, good = removals["bad_removed"], removals["good_removed"]
    return (
        f"{counted}: {_counted(bad, 'defect')} and {_counted(good, 'good image')}. The share of defects in the "
        f"set went from {percent(before)} to {percent(after)}."
    )


def _detection(vanilla: Metrics, refined: Metrics, oracle: Metrics) -> list[str]:
    if vanilla.get("image_auroc") is None or refined.get("image_auroc") is None:
        return [f"{_lacking(refined)}, so how well the detector tells defects from good images is unknown."]
    sentence = f"On the frozen test split, image AUROC {_change(vanilla, refined)}"
    if oracle["available"] and oracle["image"].get("image_auroc") is not None:
        sentence += f"; trained on the truly clean set it is {_auroc(oracle['image'])}"
    return [sentence + "."]


def _lacking(image: Metrics) -> str:
    if not image["labels_known"]:
        return "No test image has a label"
    return f"All {image['n_images']} test images are {'defects' if image['n_anomalous'] else 'good'}"


def _change(vanilla: Metrics, refined: Metrics) -> str:
    was, now = vanilla["image_auroc"], refined["image_auroc"]
    if number(was) == number(now):  # a reader sees no more of it
        return f"stayed at {_auroc(refined)}"
    return f"{'rose' if now > was else 'fell'} from {_auroc(vanilla)} to {_auroc(refined)}"


def _auroc(image: Metrics) -> str:
    interval = image.get("image_auroc_interval")
    within = f" (95 % interval {number(interval[0])} to {number(interval[1])})" if interval else ""
    return number(image["image_auroc"]) + within


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
