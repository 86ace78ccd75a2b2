"""``review.csv``, as the report's page saves it: what a person decided on single images."""

import re
from pathlib import Path

import pandas as pd

from irp_kedro.core.review import COLUMNS, DECISIONS
from irp_kedro.errors import ReviewError, nearest

DIGEST = re.compile("[0-9a-f]{32}")
SHOWN = 5  # faults


def read_review(path: str) -> pd.DataFrame:
    """Return the decisions in a file, one row an image; no row where ``path`` is empty.

    Raises:
        ReviewError: the file is missing or no such table, a decision is unknown, or an image is decided on
            twice.
    """
    if not path:
        return pd.DataFrame(columns=list(COLUMNS), dtype=str)
    file = Path(path).expanduser()
    try:
        table = pd.read_csv(file, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise ReviewError(
            f"refinement.review = '{path}', but there is no such file (looked for '{file.resolve()}'). Save it "
            "from the report's page, or leave the parameter empty."
        ) from error
    except (OSError, ValueError) as error:
        raise ReviewError(f"refinement.review = '{path}' is no table that can be read: {error}") from error
    missing = [name for name in ("digest", "decision") if name not in table]
    if missing:
        raise ReviewError(
            f"'{path}' has the columns {list(table)}; a review needs {list(COLUMNS)}, "
            "digest and decision at least."
        )
    table = table.reindex(columns=list(COLUMNS), fill_value="")
    table = table.assign(**{name: table[name].str.strip() for name in ("digest", "decision")})
    _refuse_faults(table, path)
    return table


def refuse_unknown(review: pd.DataFrame, manifest: pd.DataFrame) -> None:
    """Refuse a review of images that the source does not have.

    Raises:
        ReviewError: naming them.
    """
    unknown = review[~review["digest"].isin(manifest["digest"])]
    if len(unknown):
        shown = unknown.head(SHOWN).to_dict("records")
        named = [f"{row['image_id'] or 'an image'} ({row['digest']})" for row in shown]
        more = f" and {len(unknown) - SHOWN} more" if len(unknown) > SHOWN else ""
        raise ReviewError(
            f"The review decides on {', '.join(named)}{more}: no image of this source has those bytes. Is it "
            "the review of another set, or were the images changed since?"
        )


def _refuse_faults(table: pd.DataFrame, path: str) -> None:
    faults = []
    for line, (digest, decision) in enumerate(zip(table["digest"], table["decision"], strict=True), start=2):
        if not DIGEST.fullmatch(digest):
            faults.append(f"line {line}: '{digest}' is no MD5 of an image")
        if decision not in DECISIONS:
            faults.append(f"line {line}: decision '{decision}'; {nearest(decision, DECISIONS)}")
    twice = table.loc[table["digest"].duplicated(), "digest"].unique()
    faults += [f"{digest} is decided on more than once" for digest in twice]
    if faults:
        more = [f"… and {len(faults) - SHOWN} more"] if len(faults) > SHOWN else []
        lines = [f"  - {fault}" for fault in [*faults[:SHOWN], *more]]
        raise ReviewError("\n".join([f"'{path}' is no review that can be honoured:", *lines]))
