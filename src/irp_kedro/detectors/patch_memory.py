"""Nearest neighbours among the patches of other images: finds what is small, and leaves each image out itself.

After PatchCore (Roth et al., CVPR 2022), made for a memory that is itself contaminated (decision 0028): a
patch is compared with each reference image on its own, by that image's nearest remembered patch, and its
distance is that to the k-th nearest image. A defect that several images share so finds no friends among few
of k. What remains is the excess over the distance that the patches it resembles have themselves, so that a
patch in a varied region (print, edges) need not look odd.
"""

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from irp_kedro.core.detector import NOBODY, Rows, Scores
from irp_kedro.detectors.fingerprints import fingerprints
from irp_kedro.detectors.memory_table import MemoryTable
from irp_kedro.detectors.pair_distances import PairDistances
from irp_kedro.detectors.patch_distances import (
    TOGETHER,
    apart,
    in_parts,
    kth_smallest,
    nearest,
    of_each,
    of_images,
    statistics,
)
from irp_kedro.detectors.remembered_patches import Drawing, RememberedPatches
from irp_kedro.detectors.settings import DetectorSettings, TrainedDetector
from irp_kedro.errors import ParameterError
from irp_kedro.features.device import download, resolve_precision, upload
from irp_kedro.features.preparation import grid_shape

KEPT_DISTANCES = 2**30  # bytes; a larger table is made again in every cycle
KEPT_PAIRS = 2**29  # bytes
DISTANCES = (1e-6, 1e6)  # whose ratio is still a number


class PatchMemory:
    """Excess distance of an image's most unusual patches.

    Args:
        features: (n_images, n_patches, n_channels); the patches of an image form a grid, row by row.
        settings: ``patches`` says how many patches are remembered and how many neighbours are asked.
        name: of the detector; every name remembers the same patches, so that distances are made once.
    """

    registered: ClassVar[str] = "patch_memory"

    def __init__(self, features: Tensor, settings: DetectorSettings, name: str = "detector") -> None:
        self.features = features
        self.settings = settings
        self.name = name
        patches = settings.patches
        self._drawing = Drawing(settings.seed, patches.references, patches.per_image)
        self._bfloat16 = resolve_precision(settings.training.precision, features.device) == "bfloat16"
        self._who = fingerprints(features)
        self._statistics = statistics(features) if len(features) else None
        self._memory: RememberedPatches | None = None
        self._reference: Tensor | None = None  # positions in the memory
        self._referring: Rows = np.empty(0, dtype=np.int64)  # the rows of their images
        # (n_reference, per_image): the distance that each remembered patch has itself.
        self._reach: Tensor | None = None
        n_images, n_patches, _ = features.shape
        self._table = MemoryTable(n_images, n_patches, NOBODY, KEPT_DISTANCES)
        self._pairs = PairDistances(n_images, n_patches, features.device, KEPT_PAIRS)

    def fit(self, rows: Rows, *, epochs: int) -> list[float]:
        """Take ``rows`` as reference; there are no epochs and no losses.

        Raises:
            ParameterError: none of ``rows`` is remembered.
        """
        if self._memory is None:
            self._memory, self._table = self._remember_some()
        chosen = np.flatnonzero(np.isin(self._memory.rows, rows))
        if not len(chosen):
            raise ParameterError(
                f"None of the {len(rows)} images of the set is among the {len(self._memory.rows)} that are "
                "remembered; raise patches.references."
            )
        self._referring = self._memory.rows[chosen]
        self._reference = upload(chosen, self.features.device)
        places = upload(self._referring, self.features.device)
        drawn = self._drawn_patches(self._referring)
        self._reach = in_parts(
            lambda some, patches: self._kth_distance(self._to_reference(some, patches)[0]), places, drawn
        )
        return []

    def score(self, rows: Rows) -> Scores:
        """Return the mean excess of each image's worst patches, higher = more anomalous; may be negative."""
        places = upload(rows, self.features.device)
        means = in_parts(lambda some: self._worst_of(self._excess_of(some)).values.mean(dim=1), places)
        return download(means.double())

    def resemblance(self, left: Rows, others: Rows) -> list[tuple[Scores, Scores]]:
        """Return how much rather each image's most unusual patches are like those of images that left.

        That is the mean logarithm of a patch's distance to the nearest one of the reference over that to the
        unusual ones of another image that left; higher = more like what left. Once that image is the nearest,
        once the k-th nearest, k being the share ``patches.neighbours`` of them: one odd image among those that
        left has others like it only by chance.

        Args:
            left: who left.
            others: who is to be compared with them.

        Returns:
            For both, of those that left, (n_left,), among each other, and of the others, (n_others,).
        """
        rows = upload(np.concatenate([left, others]), self.features.device)
        worst = in_parts(lambda some: self._worst_of(self._excess_of(some)).indices, rows)
        patches = in_parts(lambda some, its: of_each(self._standardised(self.features[some]), its), rows, worst)
        normal = in_parts(lambda some, its: self._to_reference(some, its)[0].amin(dim=2), rows, worst)
        who = self._who[rows]
        ranks = (1, max(1, int(self.settings.patches.neighbours * len(left))))
        theirs = nearest(patches, who, patches[: len(left)], who[: len(left)], ranks)
        # Copies of an image are no neighbours of it: where there are no others, nothing is near.
        near, far = DISTANCES
        alike = (normal.clamp(near, far) / theirs.clamp(near, far)).log().mean(dim=2)
        return [(said[: len(left)], said[len(left) :]) for said in download(alike.double())]

    def company(self, group: Rows, asked: Rows, nth: int) -> Scores:
        """Return the distance of each image's farthest patches to the ``nth`` nearest image of a group.

        As many of a group are remembered as of a reference. No image is near itself or a copy of itself;
        where fewer than ``nth`` others are remembered, the distance is infinite.

        Args:
            group: whom they are compared with.
            asked: who is compared.
            nth: 1 for the nearest.
        """
        others = self._drawing.images(group)
        if nth > len(others):
            return np.full(len(asked), np.inf)

        device = self.features.device
        who = self._who[upload(others, device)]

        def farthest(some: Rows) -> Tensor:
            own = who[None, :] == self._who[upload(some, device)][:, None]
            distance = self._pairs.of(some, others).transpose(1, 2)
            return self._worst_of(kth_smallest(apart(distance, own), nth)).values.mean(dim=1)

        found = []
        for part in self._pairs.parts(asked, others):
            made = self._table.has(others)
            self._pairs.learn(part, others[made], self._table.columns)
            self._pairs.learn(part, others[~made], self._distances_between)
            found += [farthest(part[start : start + TOGETHER]) for start in range(0, len(part), TOGETHER)]
        return download(torch.cat(found).double()) if found else np.empty(0)

    def anomaly_map(self, rows: Rows, proportion: float = 1.0) -> Tensor:
        """Return the excess of every patch, (n_images, height, width) on the feature grid."""
        excess = self._excess(rows)
        return excess.view(len(rows), *grid_shape(excess.shape[1], proportion)).cpu()

    def fresh(self, name: str) -> Self:
        """Return a detector without reference that shares what was computed for these features."""
        if self._memory is None and len(self.features):
            self._memory, self._table = self._remember_some()
        other = copy.copy(self)
        other.name = name
        other._reference = other._reach = None
        return other

    def export(self) -> TrainedDetector:
        """Return remembered patches, their reach and the scale of the channels."""
        memory, reference, reach = self._fitted()
        mean, deviation = self._scales()
        tensors = {
            "who": memory.who[reference],
            "patches": memory.patches[reference],
            "reach": reach,
            "mean": mean,
            "deviation": deviation,
        }
        return TrainedDetector(
            detector=self.registered,
            tensors={key: value.to("cpu", copy=True).contiguous() for key, value in tensors.items()},
            config={"settings": self.settings.as_config(), "name": self.name},
        )

    def state(self) -> dict[str, Tensor]:
        """Return which rows are the reference; the rest follows from the features."""
        if self._reference is None:
            return {}
        return {"reference": torch.from_numpy(self._referring)}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take a :meth:`state` back."""
        if "reference" in state:
            self.fit(state["reference"].numpy(), epochs=1)

    @classmethod
    def restore(cls, trained: TrainedDetector, features: Tensor) -> Self:
        """Return a saved detector, bound to other images' features; none vouches for itself."""
        settings = DetectorSettings.from_config(trained.config["settings"])
        detector = cls(features, settings, trained.config["name"])
        held = {key: value.to(features.device) for key, value in trained.tensors.items()}
        detector._statistics = held["mean"], held["deviation"]
        patches = held["patches"]
        detector._referring = np.full(len(patches), -1)
        detector._memory = RememberedPatches.of(
            patches, detector._referring, held["who"], bfloat16=detector._bfloat16
        )
        detector._table = replace(detector._table, remembered=detector._referring)
        detector._reference = torch.arange(len(patches), device=features.device)
        detector._reach = held["reach"]
        return detector

    def _excess(self, rows: Rows) -> Tensor:
        return in_parts(self._excess_of, upload(rows, self.features.device))

    def _worst_of(self, unusual: Tensor) -> torch.return_types.topk:
        """Return the most unusual patches of each image, (n, worst), of values (n, n_patches)."""
        return unusual.topk(min(self.settings.patches.worst, unusual.shape[1]), dim=1)

    def _excess_of(self, rows: Tensor) -> Tensor:
        """Return the excess of every patch of a few images, (n_rows, n_patches)."""
        _, reference, reach = self._fitted()
        distance, patch = self._to_reference(rows)
        kth = self._kth_distance(distance)
        # All that are as near as the k-th, so that no order among equals matters.
        near = (distance <= kth[:, :, None]).float()
        # A flat index of each remembered patch is several times as fast as one of two parts.
        first = torch.arange(0, reach.numel(), reach.shape[1], dtype=torch.int32, device=reach.device)
        flat = first + of_images(patch, reference)
        theirs = reach.flatten().index_select(0, flat.flatten()).view(flat.shape)
        return kth - (theirs * near).sum(dim=2) / near.sum(dim=2).clamp_min(1)

    def _kth_distance(self, distance: Tensor) -> Tensor:
        """Return the distance of each patch to the k-th nearest reference image, (n, n_patches)."""
        n_reference = distance.shape[2]
        k = max(1, int(self.settings.patches.neighbours * n_reference))
        kth = kth_smallest(distance, k)
        if kth.device.type == "cpu" and not kth.isinf().any():
            return kth
        # Copies of an image are no neighbours of it; where fewer than k others are left, the farthest counts.
        farthest = distance.masked_fill(distance.isinf(), 0).amax(dim=2)
        return torch.where(kth.isinf(), farthest, kth)

    def _to_reference(self, rows: Tensor, patches: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return distances to every reference image, and which patch of every *remembered* image is nearest.

        An image is infinitely far from itself. ``patches`` (n, some) are those of each; without them all.
        """
        memory, reference, _ = self._fitted(reach=False)
        distance, patch = self._table.of(rows, patches, self._compare)
        own = memory.who[reference][None, :] == self._who[rows][:, None]
        return apart(of_images(distance, reference), own), patch

    def _compare(self, rows: Tensor, patches: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return each patch's distance to the nearest patch of every remembered image, and which it is."""
        memory, _, _ = self._fitted(reach=False)
        compared = self._standardised(self.features[rows])
        return memory.nearest(compared if patches is None else of_each(compared, patches))

    def _distances_between(self, asked: Rows, group: Rows) -> Tensor:
        """Return each patch's distance to the nearest of another image's, (n_asked, n_group, n_patches)."""
        remembered = self._remember(group)
        return in_parts(
            lambda some: remembered.distances(self._standardised(self.features[some])).transpose(1, 2),
            upload(asked, self.features.device),
        )

    def _remember_some(self) -> tuple[RememberedPatches, MemoryTable]:
        """Return a memory, drawn without regard to any set, and its table."""
        memory = self._remember(self._drawing.images(np.arange(len(self.features))))
        return memory, replace(self._table, remembered=memory.rows)

    def _remember(self, chosen: Rows) -> RememberedPatches:
        """Return some patches of each of these images."""
        rows = upload(chosen, self.features.device)
        patches = of_each(self._standardised(self.features[rows]), self._drawn_patches(chosen))
        return RememberedPatches.of(patches, chosen, self._who[rows], bfloat16=self._bfloat16)

    def _drawn_patches(self, rows: Rows) -> Tensor:
        return upload(self._drawing.patches(rows, *self.features.shape[:2]), self.features.device)

    def _standardised(self, patches: Tensor) -> Tensor:
        mean, deviation = self._scales()
        return (patches.float() - mean) / deviation

    def _scales(self) -> tuple[Tensor, Tensor]:
        if self._statistics is None:
            raise RuntimeError("A detector scores only after fit() or restore().")
        return self._statistics

    def _fitted(self, *, reach: bool = True) -> tuple[RememberedPatches, Tensor, Tensor]:
        if self._memory is None or self._reference is None or (reach and self._reach is None):
            raise RuntimeError("A detector scores only after fit() or restore().")
        return self._memory, self._reference, self._reach if self._reach is not None else torch.empty(0)
