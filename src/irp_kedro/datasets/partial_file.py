"""A download under way: what has arrived so far, and what tells whether the rest still belongs to it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self


class Note(NamedTuple):
    """What the server said when a download began; empty and 0 where it did not say.

    Attributes:
        validator: ETag or date that changes with the file.
        total: size of the whole file in bytes.
    """

    validator: str = ""
    total: int = 0

    @classmethod
    def from_headers(cls, headers: Mapping[str, str]) -> Self:
        """Read the headers of a whole answer; of a partial one, only the validator holds."""
        etag = headers.get("ETag", "")
        # A weak ETag, W/"...", may stay the same when bytes change.
        validator = etag if etag.startswith('"') else headers.get("Last-Modified", "")
        length = headers.get("Content-Length", "")
        return cls(validator, int(length) if length.isdecimal() else 0)


@dataclass(frozen=True)
class PartialFile:
    """The bytes that have arrived, at ``path``, and beside them a note: address, validator, total."""

    path: Path

    @property
    def note_path(self) -> Path:
        """Return where the note lies."""
        return self.path.with_name(f"{self.path.name}.note")

    def size(self) -> int:
        """Return how many bytes have arrived."""
        return self.path.stat().st_size if self.path.exists() else 0

    def read_note(self, url: str) -> Note:
        """Return the note; an empty one if there is none, or none about ``url``."""
        lines = self.note_path.read_text(encoding="utf-8").split("\n") if self.note_path.exists() else []
        if len(lines) != 3 or lines[0] != url or not lines[2].isdecimal():
            return Note()
        return Note(lines[1], int(lines[2]))

    def restart(self, url: str, note: Note) -> None:
        """Forget what has arrived and note what comes next."""
        # In this order: a new note beside old bytes would join the halves of two files.
        self.discard()
        self.note_path.write_text(f"{url}\n{note.validator}\n{note.total}", encoding="utf-8")

    def discard(self) -> None:
        """Forget what has arrived."""
        self.path.unlink(missing_ok=True)
        self.note_path.unlink(missing_ok=True)
