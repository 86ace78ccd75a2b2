"""The manifest: one row an image, the only description of a set that pipelines exchange.

Columns are a promise to users (README, "Files you keep"):
``image_id`` (opaque), ``path``, ``split`` (train, test), ``product_class``, ``label`` (normal, anomalous,
unknown), ``defect_type`` (empty for normal), ``mask_path`` (empty where there is none), ``digest`` (MD5 of the
source bytes, DVC's own), ``width``, ``height`` (pixels).
"""

from collections import Counter
from collections.abc import Sequence

import pandas as pd

from irp_kedro.errors import SourceError

COLUMNS = (
    "image_id",
    "path",
    "split",
    "product_class",
    "label",
    "defect_type",
    "mask_path",
    "digest",
    "width",
    "height",
)
TEXT_COLUMNS = COLUMNS[:8]
SPLITS = ("train", "test")
NORMAL, ANOMALOUS, UNKNOWN = "normal", "anomalous", "unknown"
LABELS = (NORMAL, ANOMALOUS, UNKNOWN)


def opaque_ids(digests: Sequence[str]) -> list[str]:
    """Return an id for each image that tells nothing of its name, folder or label.

    The id comes from the bytes; a repeated image gets a counter.

    >>> opaque_ids(["0123456789abcdef0", "0123456789abcdef0", "fedcba98765432100"])
    ['0123456789abcdef', '0123456789abcdef-2', 'fedcba9876543210']
    """
    seen: Counter[str] = Counter()
    ids = []
    for digest in digests:
        short = digest[:16]
        seen[short] += 1
        ids.append(short if seen[short] == 1 else f"{short}-{seen[short]}")
    return ids


def as_manifest(table: pd.DataFrame) -> pd.DataFrame:
    """Check a manifest and return it with its columns in order and its types set.

    Args:
        table: one row an image, :data:`COLUMNS` at least; empty text may be NaN (as CSV readers give it).

    Raises:
        SourceError: a column is missing, an id repeats, or a split or label is not a known one.
    """
    missing = [column for column in COLUMNS if column not in table.columns]
    if missing:
        raise SourceError(f"The manifest lacks the columns {missing}; it needs {list(COLUMNS)}.")
    manifest = table.loc[:, list(COLUMNS)].reset_index(drop=True)
    for column in TEXT_COLUMNS:
        manifest[column] = manifest[column].fillna("").astype(str)
    manifest = manifest.astype({"width": int, "height": int})
    _refuse_unknown(manifest["split"], SPLITS, "split")
    _refuse_unknown(manifest["label"], LABELS, "label")
    repeated = manifest.loc[manifest["image_id"].duplicated(), "image_id"]
    if len(repeated):
        raise SourceError(f"image_id must be unique; '{repeated.iloc[0]}' stands in several rows.")
    return manifest


def labels_known(manifest: pd.DataFrame) -> bool:
    """Return whether every image has a label; an empty manifest has none."""
    return len(manifest) > 0 and not bool((manifest["label"] == UNKNOWN).any())


def _refuse_unknown(values: pd.Series, known: Sequence[str], column: str) -> None:
    strange = sorted(set(values) - set(known))
    if strange:
        raise SourceError(f"{column} must be one of {list(known)}; found {strange[:5]}.")
