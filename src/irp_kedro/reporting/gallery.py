"""The images a person should look at: those that left, in order, and those that nearly did."""

import base64
import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from PIL import Image

from irp_kedro.core.anomaly_maps import AnomalyMaps
from irp_kedro.core.evaluation import removed_ids
from irp_kedro.core.manifest import ANOMALOUS, UNKNOWN
from irp_kedro.features.heat_map import overlaid, scaled
from irp_kedro.features.preparation import Pixels

REMOVED, NEAR, VARIANT = "removed", "stayed", "variant"
HIGHEST = 0.75  # quantile of the maps' peaks that is drawn strongest
QUALITY = 82  # of the thumbnails, JPEG
COLUMNS_OF_SHEET = 8


@dataclass(frozen=True, kw_only=True)
class GalleryImage:
    """One image of the gallery.

    Attributes:
        group: ``removed``, ``stayed`` or ``variant`` (stayed because it is one of many that are alike).
        place: in its group, from 1: the order of removal, or the distance below the threshold.
        name: the file's own, for the reader.
        cycle: in which it left; ``None`` where it stayed.
        score: at that moment, or the last one; ``None`` where nobody judged it (a person removed it), or where
            it is of a variant and its score counts for nothing.
        threshold: what it was held against.
        judge: who decided.
        label: where known.
        defect_type: of a defect.
        thumbnail: JPEG, base64.
        heat: the anomaly map over the image, JPEG, base64; empty where there is none.
        heat_of: the detector whose map that is; empty where there is none.
        heat_by_judge: whether that detector decided on removals, rather than being the trained one.
        away: the cycles in which an image that stayed had left, and come back; empty where it never left.
        doubtful: whether it stayed and is in doubt.
    """

    group: str
    place: int
    image_id: str
    digest: str
    name: str
    cycle: int | None
    score: float | None
    threshold: float | None
    judge: str
    label: str
    defect_type: str
    thumbnail: str
    heat: str = ""
    heat_of: str = ""
    heat_by_judge: bool = False
    away: tuple[int, ...] = ()
    doubtful: bool = False

    @property
    def verdict(self) -> str:
        """Whether the decision was right, in words; empty where the label is unknown."""
        bad = f"a defect ({self.defect_type})" if self.defect_type else "a defect"
        if self.label == UNKNOWN:
            return ""
        if self.label == ANOMALOUS:
            return f"right: {bad}" if self.group == REMOVED else f"missed: {bad}"
        return "wrong: a good image" if self.group == REMOVED else "right: a good image"

    @property
    def is_right(self) -> bool | None:
        """Whether the decision was right; ``None`` where the label is unknown."""
        return None if self.label == UNKNOWN else (self.label == ANOMALOUS) == (self.group == REMOVED)


def choose_removed(log: pd.DataFrame, suspicion: pd.DataFrame, *, most: int) -> pd.DataFrame:
    """Return the last decision on each image that is out of the set, in the order they left."""
    last = log.drop_duplicates("image_id", keep="last").set_index("image_id")
    rows = last.loc[removed_ids(log)[:most]].reset_index()
    return rows.merge(suspicion[["image_id", "label", "defect_type"]], on="image_id", how="left")


@dataclass(frozen=True, kw_only=True)
class HeatMaps:
    """The maps that a gallery shows, on one scale.

    Attributes:
        maps: by image id, higher = more anomalous.
        whose: by image id, the detector that made it.
        by_judge: whether it decided on removals.
    """

    maps: Mapping[str, npt.NDArray[np.floating]] = field(default_factory=dict)
    whose: Mapping[str, str] = field(default_factory=dict)
    by_judge: bool = False

    @classmethod
    def choose(cls, image_ids: Iterable[str], by_judge: AnomalyMaps, trained: AnomalyMaps) -> Self:
        """Take the maps of the judge, who decided; where no judge has any, those of the trained detector."""
        found = by_judge if len(by_judge) else trained
        maps = {image: found.of(image) for image in image_ids if image in found}
        whose = {image: found.whose(image) for image in maps}
        return cls(maps=maps, whose=whose, by_judge=found is by_judge)


def cycles_away(log: pd.DataFrame) -> dict[str, tuple[int, ...]]:
    """Return the cycles in which each image that came back had left and returned, in order."""
    moves = log[log["action"].isin(["removed", "restored"])]
    back = set(moves.loc[moves["action"] == "restored", "image_id"])
    return {
        image: tuple(int(cycle) for cycle in moves.loc[moves["image_id"] == image, "cycle"]) for image in back
    }


def show(
    rows: pd.DataFrame,
    group: str,
    read: Callable[[str], Pixels],
    heat_maps: HeatMaps,
    *,
    side: int,
    away: Mapping[str, tuple[int, ...]] | None = None,
) -> list[GalleryImage]:
    """Return the images of ``rows`` with thumbnails, and heat maps where there are any.

    Args:
        rows: what :func:`choose_removed`, ``evaluation.nearly_removed`` or ``evaluation.of_variants`` returned.
        group: ``removed``, ``stayed`` or ``variant``.
        read: digest -> prepared pixels.
        heat_maps: of whichever detector.
        side: of a thumbnail, pixels; an oblong has the area of that square.
        away: what :func:`cycles_away` returned.
    """
    maps, gone = heat_maps.maps, away or {}
    low, high = heat_scale([maps[image] for image in rows["image_id"] if image in maps])
    images = []
    for place, row in enumerate(rows.to_dict("records"), start=1):
        pixels = read(row["digest"])
        heat = maps.get(row["image_id"])
        images.append(
            GalleryImage(
                group=group,
                place=place,
                image_id=row["image_id"],
                digest=row["digest"],
                name=_shown_name(row["path"]),
                cycle=int(row["cycle"]) if group == REMOVED else None,
                score=_number(row["score"]),
                threshold=_number(row["threshold"]),
                judge=str(row.get("judge", "")),
                label=row["label"],
                defect_type=row["defect_type"] if isinstance(row["defect_type"], str) else "",
                thumbnail=as_jpeg(pixels, side),
                heat=as_jpeg(overlaid(pixels, scaled(heat, low, high)), side) if heat is not None else "",
                heat_of=heat_maps.whose.get(row["image_id"], ""),
                heat_by_judge=heat_maps.by_judge and heat is not None,
                away=gone.get(row["image_id"], ()) if group != REMOVED else (),
                doubtful=bool(row.get("doubtful", False)),
            )
        )
    return images


def heat_scale(maps: Sequence[npt.NDArray[np.floating]]) -> tuple[float, float]:
    """Return what is drawn as nothing and what as the most, one scale for all: a faint map stays faint.

    >>> heat_scale([np.array([[0.0, 1.0, 5.0]]), np.array([[1.0, 1.0, 5.0]])])
    (1.0, 5.0)
    """
    if not maps:
        return 0.0, 1.0
    medians, peaks = [float(np.median(values)) for values in maps], [float(values.max()) for values in maps]
    return float(np.median(medians)), float(np.quantile(peaks, HIGHEST))


def as_jpeg(pixels: Pixels, side: int) -> str:
    """Return a thumbnail as base64, of the area of a square of that ``side`` at most."""
    image = Image.fromarray(pixels)
    scale = side / math.sqrt(image.width * image.height)
    image.thumbnail((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    image.save(content, format="JPEG", quality=QUALITY, optimize=True)
    return base64.b64encode(content.getvalue()).decode("ascii")


def contact_sheet(images: list[GalleryImage], *, side: int = 96) -> bytes:
    """Return the thumbnails as one PNG, in order, framed: orange removed, blue stayed."""
    frame = side + 8
    columns = min(COLUMNS_OF_SHEET, max(1, len(images)))
    rows = max(1, -(-len(images) // columns))
    sheet = Image.new("RGB", (columns * frame, rows * frame), "white")
    for number, shown in enumerate(images):
        with Image.open(io.BytesIO(base64.b64decode(shown.thumbnail))) as thumbnail:
            thumbnail.thumbnail((side, side))
            edge = Image.new("RGB", (thumbnail.width + 4, thumbnail.height + 4), _frame_colour(shown))
            edge.paste(thumbnail, (2, 2))
        sheet.paste(edge, (number % columns * frame + 2, number // columns * frame + 2))
    content = io.BytesIO()
    sheet.save(content, format="PNG", optimize=True)
    return content.getvalue()


def _frame_colour(image: GalleryImage) -> str:
    return "#D55E00" if image.group == REMOVED else "#0072B2"


def _shown_name(path: str) -> str:
    """Return folder and file, enough to know an image by."""
    return "/".join(PurePath(path).parts[-2:])


def _number(value: float | None) -> float | None:
    return None if value is None or pd.isna(value) else float(value)
