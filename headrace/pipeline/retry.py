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
            is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
            if not is_number or not 0 <= seconds < float("inf"):  # type: ignore[operator] # a number by then
                yield f"with a {key} of {seconds!r}: it must be a number of seconds, 0 or more"

    def is_wanted(self, error: BaseException, attempt: int) -> bool:
        """Tell whether an event is tried again that failed with `error` in its `attempt`-th try, counted from 1."""
        return attempt < self.attempts and isinstance(error, self.on) and not isinstance(error, self.not_on)

    def seconds(self, attempt: int, chance: float, asked: float | None = None) -> float:
        """Return how long to wait after the `attempt`-th try; `chance` is from 0 to 1, `asked` what the error asks for.

        >>> Retry(backoff_seconds=1.0, max_backoff_seconds=5.0).seconds(4, chance=0.5)
        2.5
        """
        if asked is not None:
            return min(max(asked, 0.0), self.max_backoff_seconds)
        longest = self.backoff_seconds * 2.0 ** min(attempt - 1, MOST_DOUBLINGS)
        return chance * min(longest, self.max_backoff_seconds)


def retry_after(error: BaseException) -> float | None:
    """Return for how many seconds an error asks not to be tried again, if it does."""
    seconds = getattr(error, "retry_after_seconds", None)
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or math.isnan(seconds):
        return None
    return float(seconds)
