"""When an event that failed is tried again: pure arithmetic, with full jitter."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

MOST_DOUBLINGS: Final = 60
"""Beyond them the longest wait is reached in any case, and floats stay finite."""


@dataclass(frozen=True, slots=True)
class Retry:
    """How often an event is tried, and how long a try waits for the next.

    The wait after the n-th attempt is drawn evenly from 0 to `backoff_seconds * 2 ** (n - 1)`, at most
    `max_backoff_seconds` (full jitter, after Brooker, "Exponential Backoff And Jitter", 2015). An error that has
    `retry_after_seconds`, as a server's answer may say, is waited for that long, at most `max_backoff_seconds`.
    Only errors of the classes `on` are tried again, and none of `not_on`.
    """

    attempts: int = 5
    backoff_seconds: float = 0.1
    max_backoff_seconds: float = 30.0
    on: tuple[type[BaseException], ...] = (Exception,)
    not_on: tuple[type[BaseException], ...] = ()

    def faults(self) -> Iterator[str]:
        """Yield all that is wrong, each in words that follow "a retry"."""
        attempts: object = self.attempts
        if not isinstance(attempts, int) or isinstance(attempts, bool) or attempts < 1:
            yield f"of {attempts!r} attempts: it must be a whole number, 1 or more"
        for key in ("backoff_seconds", "max_backoff_seconds"):
            seconds: object = getattr(self, key)
            if not isinstance(seconds, int | float) or isinstance(seconds, bool) or math.isnan(seconds):
        return None
    return float(seconds)
