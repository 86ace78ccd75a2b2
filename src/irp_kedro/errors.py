"""Errors a user can act on: what was found, what was expected, what to do next.

Everything raised on purpose derives from :class:`IrpError`; the command line shows its message without a
traceback (``--traceback`` shows it).
"""

import difflib
from collections.abc import Iterable, Sequence


class IrpError(Exception):
    """Base of every error that irp-kedro raises on purpose."""


class ParameterError(IrpError):
    """A parameter is unknown, of the wrong type, out of range, or contradicts another."""


class SourceError(IrpError):
    """A data source cannot be read: a missing path, an unknown class, a folder of the wrong shape."""


class DownloadError(SourceError):
    """A download failed, or what arrived is not what was published."""


class InvalidImagesError(SourceError):
    """Images or masks failed validation; the message lists every fault found.

    >>> print(InvalidImagesError(["a.png: truncated"]))
    1 fault in the images:
      - a.png: truncated
    """

    shown = 20

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        lines = [f"  - {fault}" for fault in self.faults[: self.shown]]
        if len(self.faults) > self.shown:
            lines.append(f"  … and {len(self.faults) - self.shown} more")
        plural = "" if len(self.faults) == 1 else "s"
        super().__init__("\n".join([f"{len(self.faults)} fault{plural} in the images:", *lines]))


class ContaminationError(IrpError):
    """The asked contamination cannot be made from the defects at hand."""


class WeightsUnavailableError(IrpError):
    """A backbone's pretrained weights are neither on disk nor downloadable here."""


class ThresholdUndefinedError(IrpError):
    """T x median is meaningless because the median score is not positive."""


class IncompleteRunError(IrpError):
    """Something that an earlier step must have written is missing or half-written."""


class ReviewError(IrpError):
    """A person's review cannot be honoured: the file is missing, malformed, or about other images."""


class GridError(IrpError):
    """A grid of cells cannot be planned or run as asked."""


class ModelError(IrpError):
    """A saved model cannot be used: no model, of another version, or not for what was asked."""


class LineageError(IrpError):
    """A snapshot cannot be kept, found, restored or believed."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint that names the known name nearest to ``name``, or the known ones if none is near.

    >>> nearest("pil", ["pill", "screw"])
    "did you mean 'pill'?"
    >>> nearest("zzz", ["pill", "screw"])
    "known: 'pill', 'screw'"
    """
    candidates = sorted(known)
    close = difflib.get_close_matches(name, candidates, n=1, cutoff=0.5)
    if close:
        return f"did you mean '{close[0]}'?"
    return "known: " + ", ".join(f"'{c}'" for c in candidates)
