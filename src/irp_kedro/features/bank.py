"""The feature bank: features of every view or patch of every image, on disk once, memory-mapped when read.

A store holds one folder an extraction recipe (backbone, weights, preparation, views, precision), named by the
recipe's digest. Inside lie shards of a few dozen images, each an array file and, written last, the list of the
image digests in it: a killed extraction loses at most one shard, and sets that share images share their rows.
"""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
import numpy.typing as npt

from irp_kedro.errors import IncompleteRunError
from irp_kedro.features.alignment import Alignment
from irp_kedro.features.preparation import Preparation

Features = npt.NDArray[np.float16]


@dataclass(frozen=True, kw_only=True)
class ExtractionRecipe:
    """Everything that the features of an image depend on, apart from the image.

    Attributes:
        backbone: name of the network.
        weights: digest of its weights.
        crop: crop of the preparation.
        size: side of the prepared image, pixels.
        angles: of the views, degrees.
        scales: input sizes relative to ``size``.
        precision: arithmetic of the backbone.
        patch_levels: feature maps that are kept by position instead of pooled; 0 pools them all.
        patch_skip: deepest maps that are left out of them.
        aligned: of the preparation; ``None``: images as they were taken.
        aspect: of the preparation; 1: a square.
    """

    backbone: str
    weights: str
    crop: str
    size: int
    angles: tuple[float, ...]
    scales: tuple[float, ...]
    precision: str
    patch_levels: int = 0
    patch_skip: int = 0
    aligned: Alignment | None = None
    aspect: float = 1.0

    def as_dict(self) -> dict[str, object]:
        """Return plain values; a recipe looks as it did before what it does not ask for was there."""
        values = asdict(self)
        if self.aligned is None:
            del values["aligned"]
        if self.aspect == 1:
            del values["aspect"]
        if not self.patch_levels:
            del values["patch_levels"], values["patch_skip"]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the recipe that :meth:`as_dict` wrote, also where JSON has made lists of its tuples."""
        plain: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
        }
        return cls(**{**plain, "aligned": Preparation.from_dict(plain).aligned})

    @property
    def preparation(self) -> Preparation:
        """How a file becomes the pixels that features are taken from."""
        return Preparation(crop=self.crop, size=self.size, aligned=self.aligned, aspect=self.aspect)

    @property
    def proportion(self) -> float:
        """Width over height of the prepared image, as it comes out: that of the grid of patches."""
        height, width = self.preparation.shape
        return width / height

    def digest(self) -> str:
        """Return 16 hex digits that identify the recipe."""
        return hashlib.sha256(json.dumps(self.as_dict(), sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class FeatureBank:
    """The features of one set of images: where they lie, and which rows are whose.

    Attributes:
        store: folder of the recipe, with its shards.
        recipe: digest of the extraction recipe.
        digests: MD5 of each image, in sorted order, each once.
        finer: digest of the recipe of finer patches of the same images, beside it in the store; none: empty.
        coloured: digest of the recipe of their colours, likewise.
    """

    store: Path
    recipe: str
    digests: tuple[str, ...]
    finer: str = ""
    coloured: str = ""

    @classmethod
    def empty(cls, store: Path) -> "FeatureBank":
        """Return the bank of no image at all, where no detector asks for one."""
        return cls(store=store, recipe="", digests=())

    @property
    def digest(self) -> str:
        """16 hex digits that identify the recipe together with the images."""
        text = "\n".join([self.recipe + self.finer + self.coloured, *self.digests])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def read_recipe(self) -> ExtractionRecipe:
        """Return the recipe that the features were extracted by.

        Raises:
            IncompleteRunError: the store has no such recipe.
        """
        description = self.store / "recipe.json"
        if not description.is_file():
            raise IncompleteRunError(
                f"The feature store has no recipe at '{description}'. Run: kedro run --pipelines features"
            )
        return ExtractionRecipe.from_dict(json.loads(description.read_text(encoding="utf-8")))

    def fine(self) -> "FeatureBank":
        """Return the bank of the finer patches."""
        return self._beside(self.finer)

    def colours(self) -> "FeatureBank":
        """Return the bank of the colours."""
        return self._beside(self.coloured)

    def read(self, digests: Sequence[str]) -> Features:
        """Return the features of the images asked for, (n_images, n_views, n_features), in the order asked.

        A bank of patches gives (n_images, n_patches, n_channels).

        Raises:
            IncompleteRunError: the store lacks one of them.
        """
        rows = _row_index(self.store)
        missing = sorted(set(digests) - set(rows))
        if missing:
            raise IncompleteRunError(
                f"The feature bank lacks {len(missing)} of {len(digests)} images (first: {missing[0]}). "
                "Run: kedro run --pipelines features"
            )
        return _gather([rows[digest] for digest in digests])

    def _beside(self, recipe: str) -> "FeatureBank":
        return replace(self, store=self.store.parent / recipe, recipe=recipe, finer="", coloured="")


class FeatureStore:
    """Writes and finds features under one folder.

    Args:
        root: folder shared by all cells; it need not exist yet.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, recipe: ExtractionRecipe) -> Path:
        """Return the folder of ``recipe``, made with its description if it is new."""
        folder = self.root / recipe.digest()
        folder.mkdir(parents=True, exist_ok=True)
        description = folder / "recipe.json"
        if not description.exists():
            with _aside(description) as file:
                file.write(json.dumps(recipe.as_dict(), indent=2).encode())
        return folder

    def missing(self, recipe: ExtractionRecipe, digests: Sequence[str]) -> list[str]:
        """Return those of ``digests`` that have no features yet, sorted, each once."""
        return sorted(set(digests) - set(_row_index(self.folder(recipe))))

    def write_shard(self, recipe: ExtractionRecipe, digests: Sequence[str], features: Features) -> None:
        """Keep the features (n_images, n_views, n_features) of ``digests``; whole or not at all."""
        folder = self.folder(recipe)
        name = hashlib.sha256("\n".join(digests).encode()).hexdigest()[:16]
        with _aside(folder / f"shard-{name}.npy") as file:
            np.save(file, features)
        with _aside(folder / f"shard-{name}.json") as file:
            file.write(json.dumps(list(digests)).encode())

    def open(self, recipe: ExtractionRecipe, digests: Sequence[str]) -> FeatureBank:
        """Return the bank of ``digests``; every one of them must have been written."""
        return FeatureBank(
            store=self.folder(recipe), recipe=recipe.digest(), digests=tuple(sorted(set(digests)))
        )


def _row_index(folder: Path) -> dict[str, tuple[Path, int]]:
    index: dict[str, tuple[Path, int]] = {}
    for listing in sorted(folder.glob("shard-*.json")):
        shard = listing.with_suffix(".npy")
        for row, digest in enumerate(json.loads(listing.read_text())):
            index.setdefault(digest, (shard, row))
    return index


def _gather(places: Sequence[tuple[Path, int]]) -> Features:
    by_shard: dict[Path, list[tuple[int, int]]] = {}
    for position, (shard, row) in enumerate(places):
        by_shard.setdefault(shard, []).append((position, row))
    gathered: Features | None = None
    for shard, pairs in by_shard.items():
        mapped = np.load(shard, mmap_mode="r")
        if gathered is None:
            gathered = np.empty((len(places), *mapped.shape[1:]), dtype=np.float16)
        positions, rows = np.array(pairs).T
        gathered[positions] = mapped[rows]
    return gathered if gathered is not None else np.empty((0, 0, 0), dtype=np.float16)


@contextmanager
def _aside(path: Path) -> Iterator[IO[bytes]]:
    """Yield a file beside ``path`` that takes its place once it is on disk; a failure leaves nothing behind."""
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
        except BaseException:
            Path(file.name).unlink()
            raise
    Path(file.name).chmod(0o644)  # a temporary file is private, a store may be shared
    Path(file.name).replace(path)
