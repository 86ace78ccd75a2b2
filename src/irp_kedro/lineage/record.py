"""What is written down about a snapshot: where its images come from and what was made of them."""

import hashlib
import json
import platform
import re
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import ConfigDict, TypeAdapter, ValidationError

from irp_kedro.errors import LineageError

NUMBERED = re.compile("cycle_[0-9]{3,}")
# Whatever a result may depend on besides parameters and code.
PACKAGES = ("kedro", "dvc", "dvc-data", "torch", "timm", "FrEIA", "numpy", "pandas", "scikit-learn", "pillow")
# What lies in a snapshot's folder: the record itself, and of the others a pointer or, in plain mode, the file.
RECORD, IMAGES, REMOVALS, CONTENTS = "lineage.json", "images", "removals.csv", "contents.csv"


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """What all snapshots of one run have in common.

    Attributes:
        run: identifies the run; a chain of snapshots has one.
        cell: name of the experiment.
        content: of the images' files, ``source`` or ``prepared``.
        parameters: digest of every parameter that can change a result, the last part of the cell's name.
        source_manifest: digest of every image of the source, labels included, paths not.
        contamination_record: digest of what was injected.
        feature_bank: digest of recipe and images.
        code_revision: of the repository that this code lies in; empty where there is none.
        code_changed: whether code or configuration differ from that revision; ``None`` where there is none.
        code: digest of the source files that ran.
        versions: of Python, this project and what it computes with.
        device: that the loop ran on.
        review: MD5 of the person's review that was honoured; empty where there is none.
    """

    cell: str
    content: str
    parameters: str
    source_manifest: str
    contamination_record: str
    feature_bank: str
    code_revision: str
    code_changed: bool | None
    code: str
    device: str
    versions: Mapping[str, str]
    review: str = ""
    run: str = field(default_factory=lambda: uuid.uuid4().hex)

    def continues(self, earlier: "Provenance") -> bool:
        """Return whether a run may go on where an earlier one was interrupted: nothing but the run differs."""
        return replace(self, run="") == replace(earlier, run="")


@dataclass(frozen=True, kw_only=True)
class LineageRecord:
    """One snapshot: the set after a cycle, what left in that cycle, and where all of it comes from.

    Attributes:
        strategy: whose loop this is.
        cycle: 0 is the set before anything was removed.
        stop: why the loop ended, on the last cycle; empty before it.
        parent: the snapshot before this one, ``cell/strategy/cycle_NNN``; empty for cycle 0.
        parent_tree: hash of the parent's set; empty for cycle 0.
        tree: hash of the set as a DVC directory object.
        has_tree: whether that object is kept; if not, it follows from an earlier one and the removals.
        images: number of images in the set.
        size: of all of them, bytes.
        removed: images that left in this cycle.
        restored: images that returned in this cycle.
        removals: MD5 of this cycle's part of the removal log.
        contents: MD5 of the list of all images of cycle 0: names, digests, original paths.
        model: digest of the trained detector's weights, on the last cycle; empty before it.
        mode: ``dvc`` or ``plain``.
        time: when it was written, UTC.
    """

    strategy: str
    cycle: int
    stop: str
    parent: str
    parent_tree: str
    tree: str
    has_tree: bool
    images: int
    size: int
    removed: int
    restored: int
    removals: str
    contents: str
    model: str
    mode: Literal["dvc", "plain"]
    provenance: Provenance
    time: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    schema: Literal[1] = 1

    __pydantic_config__ = ConfigDict(extra="forbid")

    @property
    def name(self) -> str:
        """``cell/strategy/cycle_NNN``."""
        return f"{self.provenance.cell}/{self.strategy}/{cycle_folder(self.cycle)}"

    @property
    def is_last(self) -> bool:
        """Whether the loop ended with this cycle."""
        return self.stop != ""

    def as_dict(self) -> dict[str, Any]:
        """Return plain values that :meth:`read` understands."""
        return asdict(self)

    @staticmethod
    def read(path: Path) -> "LineageRecord":
        """Return the record at ``path``.

        Raises:
            LineageError: it is missing, no JSON, or not of this form.
        """
        try:
            return _reader().validate_json(path.read_bytes(), strict=True)
        except FileNotFoundError as error:
            raise LineageError(f"'{path}' is missing.") from error
        except ValidationError as error:
            faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
            raise LineageError(f"'{path}' is no lineage record of form 1: {'; '.join(faults)}") from error


def cycle_folder(cycle: int) -> str:
    """Return the name of a cycle's folder.

    >>> cycle_folder(7)
    'cycle_007'
    """
    return f"cycle_{cycle:03d}"


def cycle_folders(chain: Path) -> list[Path]:
    """Return the folders of cycles that lie directly in ``chain``, in order."""
    folders = [path for path in chain.glob("cycle_*") if NUMBERED.fullmatch(path.name) and path.is_dir()]
    return sorted(folders, key=cycle_number)


def cycle_number(folder: Path) -> int:
    """Return the cycle of a folder that :func:`cycle_folder` named; as text, 1000 would come before 999.

    >>> cycle_number(Path("cell/vanilla/cycle_1000"))
    1000
    """
    return int(folder.name.removeprefix("cycle_"))


def manifest_digest(manifest: pd.DataFrame) -> str:
    """Return 16 hex digits that identify the images of a manifest and their labels, wherever they lie."""
    table = manifest.drop(columns=["path", "mask_path"]).sort_values("image_id")
    return _digest(table.to_csv(index=False, lineterminator="\n"))


def banks_digest(pooled: str, patches: str) -> str:
    """Return 16 hex digits that identify a run's features; the pooled bank's where it used no patches."""
    return _digest(f"{pooled}+{patches}") if patches else pooled


def json_digest(value: Any) -> str:  # noqa: ANN401 - whatever JSON can hold
    """Return 16 hex digits that identify a value."""
    return _digest(json.dumps(value, sort_keys=True, default=str))


def software_versions() -> dict[str, str]:
    """Return the version of Python, of this project, and of each of :data:`PACKAGES` that is installed."""
    versions = {"python": platform.python_version()}
    for package in ("irp-kedro", *PACKAGES):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


@cache
def _reader() -> TypeAdapter[LineageRecord]:
    return TypeAdapter(LineageRecord)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
