"""How well anomaly maps find the defective pixels, in bounded memory: pixel AUROC and AUPRO.

Pixels of all images go into one histogram over their scores. It is exact as long as it need not tell more
different scores apart than it may hold; beyond that they lose their lowest bits, and a set of any size takes
about 100 MB. What that costs in exactness is below 1e-6 (tested).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Map = npt.NDArray[np.floating]
Mask = npt.NDArray[np.bool_]
Keys = npt.NDArray[np.int64]
Weights = npt.NDArray[np.float64]

FPR_LIMIT = 0.3  # up to which the per-region overlap is integrated (P. Bergmann et al., IJCV 129, 2021)
MOST_SCORES = 1_000_000  # different ones that are told apart
# Above this many entries the histograms of single images are added up.
CONSOLIDATE_AT = 3 * MOST_SCORES
# Diagonal neighbours belong together, as in MVTec's own evaluation.
EIGHT_CONNECTED = np.ones((3, 3), dtype=np.int64)


@dataclass
class PixelHistogram:
    """Counts of pixels by score; add images to it, then ask for the metrics.

    Attributes:
        n_images: images added.
        n_regions: connected defective regions in them.
    """

    n_images: int = 0
    n_regions: int = 0
    # Scores; and of each score the normal pixels, the defective ones, and those as shares of their regions.
    _parts: list[tuple[Keys, Weights]] = field(default_factory=list, repr=False)
    _dropped_bits: int = field(default=0, repr=False)

    def add(self, anomaly_map: Map, mask: Mask) -> None:
        """Count the pixels of one image.

        Args:
            anomaly_map: (height, width), higher = more anomalous.
            mask: (height, width), true where the image is defective.
        """
        regions, n_regions = ndimage.label(mask, structure=EIGHT_CONNECTED)
        sizes = np.bincount(regions.ravel(), minlength=n_regions + 1)
        keys, place = np.unique(_key(anomaly_map) >> self._dropped_bits, return_inverse=True)
        place, flat = place.ravel(), mask.ravel()
        shares = np.where(flat, 1 / sizes[regions.ravel()], 0.0)
        counts = [np.bincount(place, weights=column, minlength=len(keys)) for column in (~flat, flat, shares)]
        self._parts.append((keys, np.stack(counts)))
        self.n_images += 1
        self.n_regions += n_regions
        if sum(len(part) for part, _ in self._parts) > CONSOLIDATE_AT:
            self._parts = [self._consolidated()]

    def __add__(self, other: Self) -> Self:
        """Return the histogram of both sets of images."""
        both = type(self)(self.n_images + other.n_images, self.n_regions + other.n_regions)
        both._dropped_bits = max(self._dropped_bits, other._dropped_bits)
        for part in (self, other):
            more = both._dropped_bits - part._dropped_bits
            both._parts += [(keys >> more, counts) for keys, counts in part._parts]
        if both._parts:
            both._parts = [both._consolidated()]
        return both

    def metrics(self, fpr_limit: float = FPR_LIMIT) -> dict[str, float | None]:
        """Return ``pixel_auroc`` and ``aupro``; ``None`` for both without a normal or a defective pixel.

        AUPRO is the area below the mean overlap with each region over the share of normal pixels flagged, up to
        ``fpr_limit``, divided by it: 1 is perfect.
        """
        if not self._parts:
            return {"pixel_auroc": None, "aupro": None}
        self._parts = [self._consolidated()]
        _, counts = self._parts[0]
        descending = np.cumsum(counts[:, ::-1], axis=1)
        n_normal, n_bad, _ = descending[:, -1]
        if not n_normal or not n_bad:
            return {"pixel_auroc": None, "aupro": None}
        zero = np.zeros((3, 1))
        fpr, tpr, overlap = np.hstack([zero, descending / [[n_normal], [n_bad], [self.n_regions]]])
        return {
            "pixel_auroc": float(np.trapezoid(tpr, fpr)),
            "aupro": float(_area_up_to(fpr, overlap, fpr_limit) / fpr_limit),
        }

    def _consolidated(self) -> tuple[Keys, Weights]:
        keys = np.concatenate([part for part, _ in self._parts])
        columns = np.concatenate([counts for _, counts in self._parts], axis=1)
        keys, columns = _added_up(keys, columns)
        while len(keys) > MOST_SCORES:
            self._dropped_bits += 1
            keys, columns = _added_up(keys >> 1, columns)
        return keys, columns


def total(histograms: Sequence[PixelHistogram]) -> PixelHistogram:
    """Return the histogram of all images in ``histograms``."""
    whole = PixelHistogram()
    for histogram in histograms:
        whole += histogram
    return whole


def _key(scores: Map) -> Keys:
    """Return whole numbers in the order of the scores: the bits of a float32, its sign turned into an order."""
    bits = np.ascontiguousarray(scores, dtype=np.float32).view(np.int32).astype(np.int64).ravel()
    return np.where(bits < 0, -(bits & 0x7FFFFFFF), bits)


def _added_up(keys: Keys, columns: Weights) -> tuple[Keys, Weights]:
    different, place = np.unique(keys, return_inverse=True)
    return different, np.stack([np.bincount(place, weights=row, minlength=len(different)) for row in columns])


def _area_up_to(x: Weights, y: Weights, limit: float) -> float:
    """Return the area below ``y`` up to ``limit``, the last piece cut where it crosses it."""
    inside = x <= limit
    at_limit = np.interp(limit, x, y)
    return float(np.trapezoid(np.append(y[inside], at_limit), np.append(x[inside], limit)))
