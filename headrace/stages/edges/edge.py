"""The limits and the errors of a buffer on disk."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from headrace.errors import StageError

WhenFull = Literal["block", "drop_newest", "drop_oldest", "error"]
"""What to do with events without room."""


@dataclass(frozen=True, slots=True)
class EdgeLimits:
    """The most that a buffer holds; an empty buffer always has room for one event."""

    max_events: int
    max_bytes: int


class NewerBuffer(StageError):
    """The file was written by a newer headrace."""

    def __init__(self, path: Path, version: int, known: int) -> None:
        self.path = path
        super().__init__(
            f"the buffer {str(path)!r} has version {version}, and this headrace knows {known}: install the newer one "
            "here, too; nothing was changed"
        )


class BufferInUse(StageError):
    """Another run uses the file; `holder` names it."""

    def __init__(self, path: Path, holder: str) -> None:
        self.path = path
        self.holder = holder
        super().__init__(
            f"the buffer {str(path)!r} is in use by {holder}: end that one first, or name another file in `path`"
        )


class NotKeepable(StageError):
    """An event is no JSON, and cannot be stored in a buffer on disk."""

    def __init__(self, why: str) -> None:
        super().__init__(f"a buffer on disk keeps JSON, and the event is none ({why})")
