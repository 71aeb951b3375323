"""`FailurePolicy`, `FailedEvent`, retry back-off."""

import math
import random
import traceback
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from headrace.errors import message_of

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
        """Tell whether an event is tried again that failed with `error` in its `attempt`-th try, counted from 1."""
        return attempt < self.attempts and isinstance(error, self.on) and not isinstance(error, self.not_on)

    def seconds(self, attempt: int, jitter: float, asked: float | None = None) -> float:
        """Return how long to wait after the `attempt`-th try; `jitter` is from 0 to 1, `asked` the error's own wait.

        >>> Retry(backoff_seconds=1.0, max_backoff_seconds=5.0).seconds(4, jitter=0.5)
        2.5
        """
        if asked is not None:
            return min(max(asked, 0.0), self.max_backoff_seconds)
        longest = self.backoff_seconds * 2.0 ** min(attempt - 1, MOST_DOUBLINGS)
        return jitter * min(longest, self.max_backoff_seconds)


def retry_after(error: BaseException) -> float | None:
    """Return for how many seconds an error asks not to be tried again, if it does."""
    seconds = getattr(error, "retry_after_seconds", None)
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or math.isnan(seconds):
        return None
    return float(seconds)


Redact = Callable[[str], str]
"""Hides in the text of an error what must not be shown: what variables gave a config."""


@dataclass(frozen=True, slots=True)
class FailedEvent:
    """An event that failed for good: `data` is the event itself, and `attempts` how often it was tried."""

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
"""Stores events that failed for good; they are durable at return. Raises the errors of its store."""

Wait = Callable[[float], Awaitable[None]]
"""Waits for a number of seconds."""


@dataclass(slots=True)
class FailurePolicy:
    """How one stage handles failures.

    `errors` passes described events to the `errors` output, as there is room, and returns how many went.
    """

    retry: Retry | None = None
    timeout_seconds: float | None = None
    max_deliveries: int = 3
    dead_letter_handler: DeadLetterHandler | None = None
    errors: Callable[[Sequence[object]], Awaitable[int]] | None = None
    jitter: Callable[[], float] = field(default=random.random)
    redact: Redact = str

    @property
    def is_plain(self) -> bool:
        """Whether an event that fails is discarded at once."""
        return (self.retry or self.timeout_seconds or self.dead_letter_handler or self.errors) is None


PLAIN_FAILURE: Final = FailurePolicy()
