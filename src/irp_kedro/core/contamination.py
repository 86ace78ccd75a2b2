"""Inject known defects into a training set, seeded and stratified, so that refinement can be measured.

The injection pool and the frozen test split depend on ``split_seed`` alone, the draw from the pool on ``seed``;
levels are nested: what 0.1 injects, 0.3 injects too (decision 0006).
"""

import logging
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from irp_kedro.core import seeding
from irp_kedro.core.manifest import ANOMALOUS, NORMAL, UNKNOWN
from irp_kedro.errors import ContaminationError
from irp_kedro.parameters import ContaminationParameters

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ContaminatedSplit:
    """A training set with known defects in it, and the test split it must never see.

    Attributes:
        training: normals and injected defects; or the unlabelled images as they came.
        test: the same for every level and seed.
        record: what was asked, what was injected and what came of it, JSON-able.
    """

    training: pd.DataFrame
    test: pd.DataFrame
    record: dict[str, Any]


def contaminate(manifest: pd.DataFrame, ask: ContaminationParameters, *, seed: int) -> ContaminatedSplit:
    """Return the training set contaminated as asked, and the frozen test split.

    A training set without labels passes through as it is: how contaminated it is, nobody knows.

    Args:
        manifest: every image of the source.
        ask: level, definition and what to do when the pool is too small.
        seed: of the draw from the pool.

    Raises:
        ContaminationError: the pool is too small and ``on_shortage`` is ``error``, or empty and it is
            ``subsample_normals``.
    """
    train = manifest[manifest["split"] == "train"]
    if (train["label"] == UNKNOWN).any():
        test = manifest[manifest["split"] == "test"]
        return ContaminatedSplit(training=_as_train(train), test=test, record=_unknown_record(train, ask))
    pool, test = split_pool(manifest, split_seed=ask.split_seed)
    normals = train[train["label"] == NORMAL]
    n_defects = int((manifest["label"] == ANOMALOUS).sum()) if _pool_is_split(manifest) else len(pool)
    wanted = wanted_injections(ask, n_normal=len(normals), n_defects=n_defects)
    kept_normals, injected = _settle_shortage(normals, pool, wanted, ask, seed)
    training = pd.concat([kept_normals, injected])
    record = _record(ask, kept_normals, injected, pool, wanted=wanted, seed=seed)
    logger.info(
        "contamination %g (%s): %d defects injected among %d images, achieved %.1f %%",
        ask.level,
        ask.definition,
        len(injected),
        len(training),
        100 * record["achieved_contamination"],
    )
    return ContaminatedSplit(training=_as_train(training), test=test.reset_index(drop=True), record=record)


def split_pool(manifest: pd.DataFrame, *, split_seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the injection pool, in the order in which it is drawn by default, and the test split.

    A source that brings anomalous training images (KSDD2) has its pool; elsewhere exactly half of the test
    defects is taken, each type in proportion (largest remainder; decision 0013). Copies of one image stay
    together: none may be tested on whose copy was trained on.
    """
    anomalous = manifest["label"] == ANOMALOUS
    test = manifest[manifest["split"] == "test"]
    if not _pool_is_split(manifest):
        return manifest[anomalous & (manifest["split"] == "train")], test
    defects = manifest[anomalous].sort_values("digest", kind="stable")
    contents = defects.drop_duplicates("digest")
    order = stratified_order(list(contents["defect_type"]), seeding.stream(split_seed, "split"))
    rank = _first_half(list(contents["digest"].iloc[order]), Counter(defects["digest"]))
    pool = defects[defects["digest"].isin(rank)]
    pool = pool.sort_values("digest", key=lambda digests: digests.map(rank), kind="stable")
    return pool, test[~test["image_id"].isin(pool["image_id"])]


def stratified_order(types: list[str], rng: np.random.Generator) -> list[int]:
    """Return positions in a random order of which every beginning holds the types in proportion.

    >>> order = stratified_order(["a"] * 4 + ["b"] * 2, np.random.default_rng(0))
    >>> sorted(["aaaabb"[i] for i in order[:3]])
    ['a', 'a', 'b']
    """
    keyed: list[tuple[float, float, int]] = []
    for kind in sorted(set(types)):
        members = [position for position, of_type in enumerate(types) if of_type == kind]
        for rank, position in enumerate(rng.permutation(members)):
            # The middle of the rank-th of n equal steps: sorting by it interleaves types evenly.
            keyed.append(((rank + 0.5) / len(members), float(rng.random()), int(position)))
    return [position for _, _, position in sorted(keyed)]


def wanted_injections(ask: ContaminationParameters, *, n_normal: int, n_defects: int) -> int:
    """Return how many defects a level asks for.

    >>> wanted_injections(ContaminationParameters(level=0.3), n_normal=267, n_defects=141)
    42
    >>> ask = ContaminationParameters(level=0.1, definition="mixture_fraction")
    >>> wanted_injections(ask, n_normal=90, n_defects=50)
    10
    """
    match ask.definition:
        case "pool_fraction":
            # The small term mends 0.29 * 100 = 28.9999…; a half defect more than the pool is never asked for.
            return int(ask.level * n_defects + 1e-9)
        case "added_fraction":
            return round(ask.level * n_normal)
        case "mixture_fraction":
            return round(ask.level / (1 - ask.level) * n_normal)


def _pool_is_split(manifest: pd.DataFrame) -> bool:
    return not bool(((manifest["label"] == ANOMALOUS) & (manifest["split"] == "train")).any())


def _first_half(digests: list[str], copies: Counter[str]) -> dict[str, int]:
    """Return the rank of each digest taken until half of the images are; one with too many copies is passed."""
    room = copies.total() // 2
    rank: dict[str, int] = {}
    for digest in digests:
        if copies[digest] <= room:
            room -= copies[digest]
            rank[digest] = len(rank)
    return rank


def _settle_shortage(
    normals: pd.DataFrame, pool: pd.DataFrame, wanted: int, ask: ContaminationParameters, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    ordered = pool.sort_values("digest", kind="stable")
    order = stratified_order(list(ordered["defect_type"]), seeding.stream(seed, "contamination"))
    if wanted <= len(pool):
        return normals, ordered.iloc[order[:wanted]]
    match ask.on_shortage:
        case "cap":
            return normals, ordered.iloc[order]
        case "subsample_normals" if len(pool):
            keep = max(1, len(normals) * len(pool) // wanted)
            by_content = normals.sort_values("digest", kind="stable")
            drawn = seeding.stream(seed, "subsample_normals").permutation(len(by_content))[:keep]
            return by_content.iloc[np.sort(drawn)], ordered.iloc[order]
        case _:
            raise ContaminationError(
                f"contamination.level = {ask.level:g} ({ask.definition}) asks for {wanted} defects and the "
                f"injection pool has {len(pool)}. Lower the level, or set contamination.on_shortage to cap "
                "(inject all there are) or, where there are any, to subsample_normals (fewer normals, so that "
                "the fraction holds)."
            )


def _record(
    ask: ContaminationParameters,
    normals: pd.DataFrame,
    injected: pd.DataFrame,
    pool: pd.DataFrame,
    *,
    wanted: int,
    seed: int,
) -> dict[str, Any]:
    achieved = len(injected) / max(1, len(normals) + len(injected))
    columns = ["image_id", "path", "defect_type", "digest"]
    return {
        **_asked(ask),
        "seed": seed,
        "known": True,
        "n_normal": len(normals),
        "n_pool": len(pool),
        "n_wanted": wanted,
        "n_injected": len(injected),
        "short_by": max(0, wanted - len(injected)),
        "achieved_contamination": achieved,
        "injected_by_type": injected["defect_type"].value_counts().sort_index().to_dict(),
        "injected": injected[columns].to_dict(orient="records"),
    }


def _unknown_record(train: pd.DataFrame, ask: ContaminationParameters) -> dict[str, Any]:
    logger.warning(
        "No label is known for the %d training images: nothing is injected, contamination.level is ignored, "
        "and how contaminated the set is stays unknown.",
        len(train),
    )
    return {
        **_asked(ask),
        "known": False,
        "n_images": len(train),
        "n_injected": 0,
        "achieved_contamination": None,
        "note": "No label was known: contamination passed the training set through and its level is unknown.",
    }


def _asked(ask: ContaminationParameters) -> dict[str, Any]:
    return {
        "level": ask.level,
        "definition": ask.definition,
        "on_shortage": ask.on_shortage,
        "split_seed": ask.split_seed,
    }


def _as_train(training: pd.DataFrame) -> pd.DataFrame:
    return training.assign(split="train").sort_values("image_id").reset_index(drop=True)
