"""Where in an image its score comes from: the maps of a set of images, and which images get one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from irp_kedro.core.evaluation import removed_ids
from irp_kedro.errors import IncompleteRunError
from irp_kedro.measuring_parameters import EvaluationParameters

Maps = npt.NDArray[np.float16]


@dataclass(frozen=True, kw_only=True)
class AnomalyMaps:
    """The maps of some images, all on one grid that covers the whole prepared image, that is after its crop.

    Attributes:
        image_ids: whose maps, in order, each once.
        maps: (n_images, height, width), higher = more anomalous; comparable between images of one model.
        method: ``gradient`` of the score to the pixels (decision 0035), ``patches`` where the detector scores
            places itself, ``none`` where there are no maps.
        detector: whose maps; nothing in a file of an earlier version.
        detectors: whose each map is, where they are not all of one.
    """

    image_ids: tuple[str, ...]
    maps: Maps
    method: str
    detector: str = ""
    detectors: tuple[str, ...] = ()

    @classmethod
    def empty(cls) -> Self:
        """Return no maps, where none are asked for or the detector cannot make any."""
        return cls(image_ids=(), maps=np.empty((0, 0, 0), np.float16), method="none")

    def __len__(self) -> int:
        """Return the number of maps."""
        return len(self.image_ids)

    def __contains__(self, image_id: object) -> bool:
        """Return whether there is a map of ``image_id``."""
        return image_id in self.image_ids

    def whose(self, image_id: str) -> str:
        """Return the name of the detector that made the map of an image."""
        return self.detectors[self.image_ids.index(image_id)] if self.detectors else self.detector

    def of(self, image_id: str) -> npt.NDArray[np.float32]:
        """Return the map of one image, (height, width).

        Raises:
            IncompleteRunError: there is none.
        """
        if image_id not in self.image_ids:
            raise IncompleteRunError(
                f"There is no anomaly map of image '{image_id}' among the {len(self)} that were made; set "
                "evaluation.maps to all, or raise evaluation.map_images, and run: "
                "kedro run --pipelines evaluation"
            )
        values: npt.NDArray[np.float32] = self.maps[self.image_ids.index(image_id)].astype(np.float32)
        return values


def choose_images(
    log: pd.DataFrame, test: pd.DataFrame, scores: pd.DataFrame, evaluation: EvaluationParameters
) -> dict[str, str]:
    """Return id and digest of the images that get a map: the removed ones, then test images.

    Of the test split all where there are masks, since pixel metrics count normal images too; else the
    ``evaluation.map_images`` images of the highest scores.

    Args:
        log: the removal log.
        test: manifest of the test split.
        scores: columns ``image_id`` and ``score`` of the test images.
        evaluation: which of them are asked for.
    """
    if evaluation.maps == "none":
        return {}
    left = log.drop_duplicates("image_id").set_index("image_id")["digest"]
    chosen = {image: str(left[image]) for image in removed_ids(log)}
    if evaluation.maps == "removed":
        return chosen
    shown = test
    if not (test["mask_path"] != "").any():
        highest = scores.sort_values("score", ascending=False, kind="stable").head(evaluation.map_images)
        shown = test[test["image_id"].isin(highest["image_id"])]
    return chosen | dict(zip(shown["image_id"], shown["digest"], strict=True))


def joined(image_ids: Sequence[str], parts: Sequence[Maps], method: str, detector: str) -> AnomalyMaps:
    """Return the maps that were made in parts, in the order of ``image_ids``."""
    if not parts:
        return AnomalyMaps.empty()
    return AnomalyMaps(image_ids=tuple(image_ids), maps=np.concatenate(parts), method=method, detector=detector)


def side_by_side(main: AnomalyMaps, other: AnomalyMaps) -> AnomalyMaps:
    """Return both, on the finer of their grids; the other's stretched to peaks as high as the main's.

    Detectors that measure different things have no scale in common, and are drawn on one.
    """
    if not len(main) or not len(other):
        return main if len(main) else other
    side = max(*main.maps.shape[1:], *other.maps.shape[1:])
    level, theirs = (float(np.median(each.maps.max(axis=(1, 2)))) for each in (main, other))
    stretch = level / theirs if level > 0 and theirs > 0 else 1.0
    limit = np.finfo(np.float16).max
    stretched = (other.maps.astype(np.float32) * stretch).clip(-limit, limit).astype(np.float16)
    return AnomalyMaps(
        image_ids=main.image_ids + other.image_ids,
        maps=np.concatenate([_on_grid(main.maps, side), _on_grid(stretched, side)]),
        method=main.method,
        detector=main.detector,
        detectors=(main.detector,) * len(main) + (other.detector,) * len(other),
    )


def _on_grid(maps: Maps, side: int) -> Maps:
    rows, columns = (np.arange(side) * length // side for length in maps.shape[1:])
    return maps[:, rows[:, None], columns]
