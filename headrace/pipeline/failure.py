"""`FailurePolicy`, `FailedEvent` and `Retry`: how a stage handles failures."""

import math
import traceback
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

from headrace.errors import message_of

MOST_DOUBLINGS: Final = 60
"""More doublings would overflow a float; the maximum back-off is reached long before."""


@dataclass(frozen=True, slots=True)
class Retry:
    """How often an event is tried, and the back-off between two attempts.

    The back-off after the n-th attempt is random between 0 and `backoff_seconds * 2 ** (n - 1)`, and at most
    `max_backoff_seconds` (full jitter, after Brooker, "Exponential Backoff And Jitter", 2015). An error with an
    attribute `retry_after_seconds`, such as a server's answer may give, sets the back-off itself, up to that maximum.
    Only errors of the classes `on`, and not of the classes `not_on`, are retried.
    """

    attempts: int = 5
    backoff_seconds: float = 0.1
    max_backoff_seconds: float = 30.0
    on: tuple[type[BaseException], ...] = (Exception,)
    not_on: tuple[type[BaseException], ...] = ()

    def problems(self) -> Iterator[str]:
        """Yield all problems, each as a text that follows "a retry"."""
        attempts: object = self.attempts
        if not isinstance(attempts, int) or isinstance(attempts, bool) or attempts < 1:
            yield f"of {attempts!r} attempts: it must be a whole number, 1 or more"
        for key in ("backoff_seconds", "max_backoff_seconds"):
            seconds: object = getattr(self, key)
            is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
            if not is_number or not 0 <= seconds < float("inf"):  # type: ignore[operator] # a number by then
                yield f"with a {key} of {seconds!r}: it must be a number of seconds, 0 or more"

    def is_wanted(self, error: BaseException, attempt: int) -> bool:
        """Return whether to retry an event that failed with `error` in its `attempt`-th attempt, counted from 1."""
        return attempt < self.attempts and isinstance(error, self.on) and not isinstance(error, self.not_on)

    def seconds(self, attempt: int, jitter: float, asked: float | None = None) -> float:
        """Return the back-off after the `attempt`-th attempt; `jitter` is from 0 to 1, `asked` that of the error.

        >>> Retry(backoff_seconds=1.0, max_backoff_seconds=5.0).seconds(4, jitter=0.5)
        2.5
        """
        if asked is not None:
            return min(max(asked, 0.0), self.max_backoff_seconds)
        longest = self.backoff_seconds * 2.0 ** min(attempt - 1, MOST_DOUBLINGS)
        return jitter * min(longest, self.max_backoff_seconds)


@runtime_checkable
class HasRetryAfter(Protocol):
    """An error that asks for a back-off of its own, such as the answer of a server with a `Retry-After`."""

    retry_after_seconds: object


def retry_after(error: BaseException) -> float | None:
    """Return the back-off in seconds that an error asks for; None if it asks for none."""
    seconds = error.retry_after_seconds if isinstance(error, HasRetryAfter) else None
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or math.isnan(seconds):
        return None
    return float(seconds)


Redact = Callable[[str], str]
"""Hides secrets in the text of an error: the values of variables in a config."""


@dataclass(frozen=True, slots=True)
class FailedEvent:
    """An event that failed for good: `data` is the event itself, `attempts` the number of its attempts."""

    stage: str
    data: object
    error: BaseException
    attempts: int
    metadata: Mapping[str, object]

    def trace(self) -> str:
        """Return the traceback of the error as text."""
        return "".join(traceback.format_exception(self.error))

    def described(self, redact: Redact = str) -> dict[str, object]:
        """Return the event of the `errors` output: `event`, `stage`, `attempts`, and `error` with `type` and `text`."""
        error = {"type": type(self.error).__name__, "text": redact(message_of(self.error))}
        return {"event": self.data, "stage": self.stage, "error": error, "attempts": self.attempts}


DeadLetterHandler = Callable[[Sequence[FailedEvent]], Awaitable[None]]
"""Stores events that failed for good; they are durable when it returns. Raises the errors of its store."""


@dataclass(frozen=True, slots=True)
class FailurePolicy:
    """How one stage handles failures.

    `errors` sends descriptions of events to the `errors` output, as there is room, and returns how many it took.
    """

    retry: Retry | None = None
    timeout_seconds: float | None = None
    max_deliveries: int = 3
    dead_letter_handler: DeadLetterHandler | None = None
    errors: Callable[[Sequence[object]], Awaitable[int]] | None = None
    redact: Redact = str

    @property
    def is_plain(self) -> bool:
        """Whether a failed event is discarded at once."""
        return (self.retry or self.timeout_seconds or self.dead_letter_handler or self.errors) is None


PLAIN_FAILURE: Final = FailurePolicy()
