"""What becomes of an event that failed: tried again, passed to the `errors` output, set aside, or discarded."""

import random
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from headrace.errors import message_of
from headrace.pipeline.retry import Retry

Redact = Callable[[str], str]
"""Hides in the text of an error what must not be shown: what variables gave a config."""


@dataclass(frozen=True, slots=True)
class FailedEvent:
    """An event that was given up: `data` is the event itself, and `attempts` how often it was tried."""

    stage: str
    data: object
    error: BaseException
    attempts: int
    metadata: Mapping[str, object]

    def trace(self) -> str:
        """Return the traceback of the error as text."""
        return "".join(traceback.format_exception(self.error))

    def described(self, redact: Redact = str) -> dict[str, object]:
        """Return what the `errors` output emits: `event`, `stage`, `attempts`, and `error` with `type` and `text`."""
        error = {"type": type(self.error).__name__, "text": redact(message_of(self.error))}
        return {"event": self.data, "stage": self.stage, "error": error, "attempts": self.attempts}


SetAside = Callable[[Sequence[FailedEvent]], Awaitable[None]]
"""Keeps events that were given up; what it returned for is durable. Raises what its store raises."""

Wait = Callable[[float], Awaitable[None]]
"""Waits for a number of seconds."""


@dataclass(slots=True)
class Failure:
    """How one stage takes failures.

    `errors` passes described events to the `errors` output, as there is room, and returns how many went.
    """

    retry: Retry | None = None
    timeout_seconds: float | None = None
    most_deliveries: int = 3
    set_aside: SetAside | None = None
    errors: Callable[[Sequence[object]], Awaitable[int]] | None = None
    chance: Callable[[], float] = field(default=random.random)
    redact: Redact = str

    @property
    def is_plain(self) -> bool:
        """Whether an event that fails is discarded at once."""
        return (self.retry or self.timeout_seconds or self.set_aside or self.errors) is None


PLAIN_FAILURE: Final = Failure()
