"""How much a buffer on disk holds, and what becomes of events when it is full."""

from dataclasses import dataclass
from typing import Literal

WhenFull = Literal["block", "drop_newest", "drop_oldest", "error"]
"""What becomes of events for which there is no room."""


@dataclass(frozen=True, slots=True)
class LogBounds:
    """How much a buffer holds at most; one event always finds room in an empty one."""

    max_events: int
    max_bytes: int
