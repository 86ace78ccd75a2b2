"""How much of what contamination cost was won back, over cells (decision 0011)."""

import numpy as np
import pandas as pd

# "setting" digests every parameter but the seed: cells that differ in anything else are never compared.
KEYS = [
    "dataset",
    "product_class",
    "set_name",
    "set_digest",
    "definition",
    "detector",
    "configuration",
    "level",
    "setting",
]
COLUMNS = (*KEYS, "strategy", "cells", "vanilla", "refined", "oracle", "gain", "lost", "lost_error", "recovery")


def recovery_by_contamination(cells: pd.DataFrame) -> pd.DataFrame:
    """Return one row a setting and refining strategy with :data:`COLUMNS`, means over seeds.

    ``recovery`` is (refined - vanilla) / (oracle - vanilla), only where oracle - vanilla exceeds twice its
    standard error over paired seeds; elsewhere it is empty and ``gain``, the plain difference, is the result.

    Args:
        cells: one row a cell and strategy with ``image_auroc``, its set and configuration named as all tables
            over cells name them; a cell without an oracle is left out.
    """
    rows = []
    if len(cells):
        for keys, group in cells.groupby(KEYS, sort=True):
            wide = group.pivot_table(index="seed", columns="strategy", values="image_auroc", aggfunc="mean")
            if {"vanilla", "oracle"} <= set(wide.columns):
                refining = [name for name in wide.columns if name not in {"vanilla", "oracle"}]
                shared = dict(zip(KEYS, keys, strict=True))
                rows += [{**shared, "strategy": name, **_recovered(wide, name)} for name in refining]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _recovered(wide: pd.DataFrame, strategy: str) -> dict[str, float | None]:
    paired = wide[["vanilla", strategy, "oracle"]].dropna()
    lost, won = paired["oracle"] - paired["vanilla"], paired[strategy] - paired["vanilla"]
    # One seed says nothing of its own error.
    error = float(lost.std(ddof=1) / np.sqrt(len(lost))) if len(lost) > 1 else None
    is_clear = error is not None and lost.mean() > 2 * error
    return {
        "cells": len(paired),
        "vanilla": float(paired["vanilla"].mean()),
        "refined": float(paired[strategy].mean()),
        "oracle": float(paired["oracle"].mean()),
        "gain": float(won.mean()),
        "lost": float(lost.mean()),
        "lost_error": error,
        "recovery": float(won.mean() / lost.mean()) if is_clear else None,
    }
