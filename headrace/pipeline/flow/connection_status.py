"""The status of a stage's connections: a database, an HTTP peer, a file, the dead letter store."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Final

from headrace.errors import class_and_message

DEAD_LETTERS: Final = "dead_letters"
"""The kind of the connection to the dead letter store."""

IDLE_SECONDS: Final = 60.0
"""A stage that has no way to try again without an event counts as connected so long after its last failure.

Without it a pipeline that is not ready would get no event, and so could never become ready.
"""


@dataclass(frozen=True, slots=True)
class ConnectionSnapshot:
    """The status of a connection: its kind, and the error of the last attempt, None where that succeeded."""

    kind: str
    error: str | None

    @property
    def is_up(self) -> bool:
        """Whether the last attempt went through."""
        return self.error is None


class ConnectionStatus:
    """The result of the last attempt to use a connection."""

    __slots__ = ("_clock", "_failed_at", "_idle_seconds", "error", "kind")

    def __init__(self, kind: str, idle_seconds: float = inf, clock: Callable[[], float] = time.monotonic) -> None:
        """`kind` is a word for the metric's label. A failure counts for `idle_seconds` once no event waits."""
        self.kind = kind
        self.error: BaseException | None = None
        self._idle_seconds = idle_seconds
        self._failed_at = 0.0
        self._clock = clock

    def up(self) -> None:
        """An attempt went through."""
        self.error = None

    def down(self, error: BaseException) -> None:
        """An attempt failed with `error`."""
        self.error = error
        self._failed_at = self._clock()

    def snapshot(self, *, is_idle: bool) -> ConnectionSnapshot:
        """Return how it stands; `is_idle` where no event waits for another attempt."""
        is_over = is_idle and self._clock() - self._failed_at >= self._idle_seconds
        error = None if self.error is None or is_over else class_and_message(self.error)
        return ConnectionSnapshot(self.kind, error)
