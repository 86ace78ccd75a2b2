"""The report of one cell as one HTML file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from irp_kedro.core.resemblance import FEWEST
from irp_kedro.detectors.registry import DETECTORS
from irp_kedro.reporting.cell_command import run_command
from irp_kedro.reporting.cell_tables import (
    MAIN,
    cost_table,
    cycles_table,
    detection_table,
    intervals_table,
    provenance_table,
    removals_table,
    settings_table,
    snapshots_table,
    types_table,
)
from irp_kedro.reporting.gallery import NEAR, REMOVED, VARIANT, GalleryImage
from irp_kedro.reporting.headline import facts, headline, percent
from irp_kedro.reporting.pages import render

REVIEW = "review.csv"  # as the page's button saves it
LONGEST_BAR = 4  # thresholds
BELOW = 0.05  # of the range, that the lowest score still has a bar where all are negative
ACQUISITION = (
    "The injected defects were photographed with the test images, not with the training images. Part of what "
    "sets them apart may be how they were photographed, so that a removal is easier here than on a line."
)
LAID_LEVEL = (
    "Every part is laid level before judges and detector see it, as it is shown here: how a part lay when its "
    "image was taken decides nothing."
)


@dataclass(frozen=True, kw_only=True)
class CellResults:
    """All that the page of a cell shows.

    Attributes:
        summary: one row a strategy, and the oracle.
        parameters: of the cell, complete.
        metrics: of each strategy, and of ``oracle``.
        types: metrics by type of defect, by strategy.
        history: cycles of iterative refinement.
        lineage: records of its snapshots.
        gallery: images to look at.
        review: decisions that this run honoured; maybe none.
        figures: by catalog name.
        aligned: whether parts were laid level.
    """

    summary: pd.DataFrame
    parameters: Mapping[str, Any]
    metrics: Mapping[str, Mapping[str, Any]]
    types: Mapping[str, pd.DataFrame]
    history: pd.DataFrame
    lineage: pd.DataFrame
    gallery: Sequence[GalleryImage]
    review: pd.DataFrame
    figures: Mapping[str, Any]
    aligned: bool


def cell_page(results: CellResults) -> str:
    """Return the page: headline, gallery with review, loop, detector, lineage, cost and settings."""
    refined, first = results.metrics[MAIN], results.summary.iloc[0]
    removed = [image for image in results.gallery if image.group == REMOVED]
    near = [image for image in results.gallery if image.group == NEAR]
    variants = [image for image in results.gallery if image.group == VARIANT]
    page = {
        **_entries(results),
        "cell": first["cell"],
        "title": _title(first),
        "overview": "../report.html",
        "labels_known": refined["image"]["labels_known"],
        "is_tested": refined["image"]["n_images"] > 0,
        "headline": headline(results.metrics["vanilla"], refined, results.metrics["oracle"]),
        "facts": facts(results.metrics["vanilla"], refined),
        "notes": _notes(results),
        "removed": removed,
        "removed_intro": _intro(removed, refined["removals"]["n_removed"]),
        "none_left": _none_left(near, refined["removals"]["n_removed"]),
        "heat_intro": _whose_map(results),
        "near": near,
        "near_intro": _near_intro(
            near, results.history.iloc[-1], resemblance=results.parameters["refinement"]["resemblance"]
        ),
        "variants": variants,
        "variants_intro": _variants_intro(variants, results.history.iloc[-1]) if variants else "",
        "bars": _ends_of_bars(results.gallery),
        "figures": results.figures,
        "strategies": detection_table(results.summary),
        "intervals": intervals_table(results.summary),
        "removals": removals_table(results.summary),
        "types": types_table(results.types),
        "cycles": cycles_table(results.history),
        "snapshots": snapshots_table(results.lineage),
        "provenance": provenance_table(results.lineage.iloc[-1]),
        "cost": cost_table(results.summary),
        "settings": settings_table(results.parameters),
        "review": {
            "cell": first["cell"],
            "earlier": results.review.astype(str).to_dict("records"),
        },
        "again": run_command(results.parameters, {"refinement.review": REVIEW}),
    }
    return render("cell.html.j2", page)


def _ends_of_bars(gallery: Sequence[GalleryImage]) -> tuple[float, float]:
    """Return the scores of an empty and of a full bar.

    Empty is 0, or just below the lowest score where that is negative; full the highest, a few thresholds at
    most, so that no outlier flattens the rest.
    """
    scores = [image.score for image in gallery if image.score is not None]
    thresholds = [image.threshold for image in gallery if image.threshold is not None]
    if not scores:
        return 0.0, 1.0
    lowest, highest = min(*scores, *thresholds, 0.0), max([*scores, *thresholds])
    if thresholds and max(thresholds) > 0:
        highest = min(highest, LONGEST_BAR * max(thresholds))
    bottom = lowest - BELOW * (highest - lowest) if lowest < 0 else 0.0
    return bottom, max(highest, bottom + 1e-9)


def _title(first: pd.Series) -> str:
    dataset = f"{first['dataset']} {first['product_class']}" if first["product_class"] else first["dataset"]
    if first["dataset"] == "image_folder":
        dataset = first["set_name"]
    return f"What left the training set: {str(dataset).replace('_', ' ')}"


def _notes(results: CellResults) -> list[dict[str, str]]:
    notes = []
    if results.parameters["dataset"]["name"] == "mvtec_ad":
        notes.append({"text": ACQUISITION, "entry": "cell_parameters"})
    if results.aligned:
        notes.append({"text": LAID_LEVEL, "entry": "prepared_images"})
    if len(results.review):
        counts = results.review["decision"].value_counts()
        told = ", ".join(f"{count} {decision}" for decision, count in counts.items())
        text = f"This run honoured a review: {told}. Its digest is in the lineage below."
        notes.append({"text": text, "entry": "review"})
    return notes


def _entries(results: CellResults) -> dict[str, list[str]]:
    """Return which catalog entries each part of the page without a table or figure of its own shows."""
    labelled = results.metrics[MAIN]["removals"]["labels_known"]
    maps = sorted(
        {
            f"{MAIN}.{'judge_maps' if image.heat_by_judge else 'anomaly_maps'}"
            for image in results.gallery
            if image.heat
        }
    )
    audit = [f"{MAIN}.removal_audit"] if labelled else []
    return {
        "headline_entries": [f"{name}.metrics" for name in ("vanilla", MAIN, "oracle")],
        "gallery_entries": ["gallery", f"{MAIN}.removal_log", *audit, *maps],
        "near_entries": ["gallery", f"{MAIN}.suspicion_ranking", f"{MAIN}.cycle_history", *maps],
        "variants_entries": ["gallery", f"{MAIN}.suspicion_ranking", f"{MAIN}.cycle_history", *maps],
        "detector_entries": [f"{MAIN}.model", f"{MAIN}.test_scores"],
    }


def _whose_map(results: CellResults) -> str:
    """Return whose maps the gallery shows, and what that says about a decision."""
    told = results.parameters
    judges = [str(name) for name in told["refinement"]["judge"] or [told["detector"]]]
    shown = next((image for image in results.gallery if image.heat), None)
    if shown is None:
        return "There are no heat maps: evaluation.maps is none, or no detector of this run makes any."
    if shown.heat_by_judge:
        # The first judge that scores places, and beside it whoever found an image apart from the others.
        of = {image.heat_of for image in results.gallery if image.heat}
        first, *apart = [name for name in judges if name in of] or [shown.heat_of]
        others = [name for name in judges if name not in {first, *apart} and not DETECTORS[name].apart]
        beside = "".join(f" What {name} alone found has the map of {name}." for name in apart)
        if others:
            beside += f" The score joins it with {' and '.join(others)}, which the map does not show."
        return (
            f"The heat map is that of {first}, a judge: bright where an image differs most from all "
            f"other images that are in the set at the end.{beside}"
        )
    if shown.heat_of in judges:
        return f"The heat map is that of {shown.heat_of}, which judged and was trained."
    return (
        f"The heat map is that of {shown.heat_of or told['detector']}, the trained detector, not that of "
        f"{' and '.join(judges)}, which decided and cannot say where: it shows where that detector sees "
        "something, and need not be why an image left."
    )


def _near_intro(near: Sequence[GalleryImage], last: pd.Series, *, resemblance: bool) -> str:
    """Return what the second gallery shows, what became of the images in doubt, and what a review does."""
    told = "These are the next suspects. The bar shows the last score, the black line the threshold."
    if not last["doubtful"]:
        return told
    shown = sum(image.doubtful for image in near)
    listed = "" if shown == last["doubtful"] else f", of which {shown} are shown here"
    taught = (
        f"; with {FEWEST} or more examples of what leaves, of a large set more than one in a hundred, those in "
        "doubt that resemble them leave too"
    )
    return (
        f"{told} Of the images that stayed, {last['doubtful']} are in doubt{listed}: they are part of the "
        f"refined set, its manifest names them, and each took part in {percent(last['doubtful_share'])} of the "
        "epochs that the detector was trained for. In the next run what you mark as keep is in doubt no "
        f"longer, and what you mark as remove leaves{taught if resemblance else ''}."
    )


def _none_left(near: Sequence[GalleryImage], n_removed: int) -> str:
    """Return what a set that nothing left has to be looked at for; nothing where something did."""
    if n_removed:
        return ""
    if not any(image.doubtful for image in near):
        return "Nothing left the set."
    return (
        "Nothing left the set. Where a large part of a set is defective it holds up the threshold itself: look "
        "at the images in doubt below, and decide."
    )


def _variants_intro(variants: Sequence[GalleryImage], last: pd.Series) -> str:
    """Return what images of a variant are, and what a person has to decide of them."""
    listed = "" if len(variants) == last["variants"] else f" The first {len(variants)} are shown."
    return (
        f"{last['variants']} images look like each other as normal images do, and less like these, so they may "
        "be a rare variant of the product, or one fault many times over: only you can tell. They stay, and are "
        f"trained on.{listed} If they are a fault, mark at least {FEWEST} as remove: the next run then removes "
        "their like."
    )


def _intro(removed: Sequence[GalleryImage], n_removed: int) -> str:
    shown = f"The first {len(removed)} of {n_removed} are shown. " if len(removed) < n_removed else ""
    return (
        f"{shown}The bar shows the score of each image when it left, the black line the threshold. Look at "
        "what was removed before you trust it, and decide where you disagree."
    )
