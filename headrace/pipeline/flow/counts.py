"""The counts of a stage over all its restarts, and the status of its connections."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final, Protocol

from headrace.errors import class_and_message, message_of
from headrace.errors.root import origin
from headrace.telemetry.counts import Families, MetricNames
from headrace.telemetry.events import LOG

DEAD_LETTERS: Final = "dead_letters"
"""The kind of the connection to the dead letter store."""

IDLE_SECONDS: Final = 60.0
"""How long a failure counts for a stage that cannot try again without an event.

Without this limit a pipeline that is not ready would get no event, and could never become ready.
"""


@dataclass(frozen=True, slots=True)
class ConnectionSnapshot:
    """The status of a connection: its kind, and the error of the last attempt, None where that succeeded."""

    kind: str
    error: str | None

    @property
    def is_up(self) -> bool:
        """Whether the last attempt succeeded."""
        return self.error is None


class ConnectionStatus:
    """The result of the last attempt to use a connection: a database, an HTTP peer, a file, the dead-letter store."""

    __slots__ = ("_clock", "_failed_at", "_idle_seconds", "error", "kind")

    def __init__(self, kind: str, idle_seconds: float = inf, clock: Callable[[], float] = time.monotonic) -> None:
        """`kind` is a word for the metric's label. A failure counts for `idle_seconds` once no event waits."""
        self.kind = kind
        self.error: BaseException | None = None
        self._idle_seconds = idle_seconds
        self._failed_at = 0.0
        self._clock = clock

    def up(self) -> None:
        """Called when an attempt succeeded."""
        self.error = None

    def down(self, error: BaseException) -> None:
        """Called when an attempt failed with `error`."""
        self.error = error
        self._failed_at = self._clock()

    def snapshot(self, *, is_idle: bool) -> ConnectionSnapshot:
        """Return the status as a value; `is_idle` says that no event waits for another attempt."""
        is_over = is_idle and self._clock() - self._failed_at >= self._idle_seconds
        error = None if self.error is None or is_over else class_and_message(self.error)
        return ConnectionSnapshot(self.kind, error)


ERROR_TYPES_LIMIT: Final = 20
"""How many exception classes a stage counts by name; all further ones are `other`."""


class UndeliveredHandler(Protocol):
    """Receives events that go no further, because of a crash or the end of the run."""

    def undelivered(self, counts: "StageCounts", events: Sequence[object], reason: str, *, is_output: bool) -> None:
        """Called with events that a stage had received, or had emitted (`is_output`)."""


_LEFT: Final = frozenset({"crash", "cancelled"})


class StageCounts:
    """Plain integers of one stage. `discarded` and `lost` begin with 0 for each name that is known from the start."""

    __slots__ = (
        "_has_logged_overflow",
        "_has_logged_store",
        "_logged",
        "_undelivered",
        "connections",
        "dead_lettered",
        "discarded",
        "errors",
        "failed",
        "families",
        "lost",
        "redelivered",
        "stage",
    )

    def __init__(
        self,
        stage: str,
        known_discards: tuple[str, ...] = (),
        metric_names: MetricNames | None = None,
        known_losses: tuple[str, ...] = (),
        undelivered: UndeliveredHandler | None = None,
    ) -> None:
        self.stage = stage
        self.discarded: dict[str, int] = dict.fromkeys((*known_discards, "overflow", "error", "crash", "cancelled"), 0)
        self.lost: dict[str, int] = dict.fromkeys(known_losses, 0)
        self.errors: dict[str, int] = {}
        self.failed = 0
        self.redelivered = 0
        self.dead_lettered = 0
        self.families = Families(stage, metric_names)
        self.connections: dict[str, ConnectionStatus] = {}
        self._undelivered = undelivered
        self._logged: dict[int, set[str]] = {logging.WARNING: set(), logging.ERROR: set()}
        self._has_logged_overflow = False
        self._has_logged_store = False

    def connection(self, kind: str, idle_seconds: float) -> ConnectionStatus:
        """Return the status of the stage's connection of that kind; it survives restarts."""
        return self.connections.setdefault(kind, ConnectionStatus(kind, idle_seconds))

    def discard(self, count: int, reason: str, *, is_silent: bool = False) -> None:
        """Count `count` events that go no further; the first overflow is logged, unless `is_silent`."""
        if count:
            self.discarded[reason] = self.discarded.get(reason, 0) + count
            if reason == "overflow" and not is_silent:
                self.log_overflow()

    def leave(self, events: Sequence[object], reason: str, count: int | None = None) -> None:
        """Count received events that go no further. Report them where a crash or the end of the run is the reason.

        `count` is their number, where callbacks may have changed the list since.
        """
        self.discard(len(events) if count is None else count, reason)
        if self._undelivered is not None and events and reason in _LEFT:
            self._undelivered.undelivered(self, events, reason, is_output=False)

    def leave_outputs(self, events: Sequence[object], reason: str) -> None:
        """Count emitted events that go no further. Report them where a crash or the end of the run is the reason."""
        self.discard(len(events), reason)
        if self._undelivered is not None and events and reason in _LEFT:
            self._undelivered.undelivered(self, events, reason, is_output=True)

    def log_overflow(self) -> None:
        """Log once that the buffer is full."""
        if not self._has_logged_overflow:
            self._has_logged_overflow = True
            LOG.warning(
                "stage %r discards events: its buffer is full (later ones are counted, not logged); "
                "let its consumers ask for more, or give it a larger buffer",
                self.stage,
            )

    def error(self, error: BaseException) -> str:
        """Count an error by its class; return the name under which it is counted."""
        name = type(error).__name__
        if name not in self.errors and len(self.errors) >= ERROR_TYPES_LIMIT:
            name = "other"
        self.errors[name] = self.errors.get(name, 0) + 1
        return name

    def fail(self, error: BaseException, count: int = 1) -> None:
        """Count `count` events that failed with `error`; log it once per class of error."""
        self.failed += count
        self.discard(count, "error")
        self._log_once(error, self.error(error), "discards an event")

    def fail_at_source(self) -> None:
        """Count one event that a source raised an error for, instead of yielding it. The crash names the error."""
        self.failed += 1
        self.discard(1, "error")

    def try_again(self, errors: Sequence[BaseException]) -> None:
        """Count events that are tried again, each with its error; log one event per class of error."""
        self.redelivered += len(errors)
        for error in errors:
            self._log_once(error, type(error).__name__, "tries an event again", logging.WARNING)

    def dead_letter(self, errors: Sequence[BaseException]) -> None:
        """Count events that failed for good and are kept as dead letters, each with its error."""
        self.connection(DEAD_LETTERS, IDLE_SECONDS).up()
        if self._has_logged_store:
            self._has_logged_store = False
            LOG.info("stage %r can set events aside again", self.stage)
        self.dead_lettered += len(errors)
        self.discard(len(errors), "dead_lettered")
        for error in errors:
            self._log_once(error, self.error(error), "sets an event aside as a dead letter")

    def fail_to_dead_letter(self, count: int, error: Exception) -> None:
        """Log that the store refuses dead letters: once, until it accepts one again."""
        self.connection(DEAD_LETTERS, IDLE_SECONDS).down(error)
        if not self._has_logged_store:
            self._has_logged_store = True
            LOG.error(
                "stage %r cannot set %d events aside (later ones are counted as failed, not logged): %s",
                self.stage,
                count,
                message_of(error),
            )

    def pass_on(self, errors: Sequence[BaseException]) -> None:
        """Count events that failed for good and go to the `errors` output, each with its error."""
        self.discard(len(errors), "errors_output")
        for error in errors:
            self._log_once(error, self.error(error), "passes an event to its errors output")

    def _log_once(self, error: BaseException, name: str, action: str, level: int = logging.ERROR) -> None:
        """Log the action for an event, unless an event with the same class of error was logged at this level."""
        if name in self._logged[level] or len(self._logged[level]) > ERROR_TYPES_LIMIT:
            return
        self._logged[level].add(name)
        location = origin(error)
        LOG.log(
            level,
            "stage %r %s (later ones that fail alike are counted, not logged): %s%s",
            self.stage,
            action,
            class_and_message(error),
            "" if location is None else f" ({location})",
            exc_info=error if LOG.isEnabledFor(logging.DEBUG) else None,
        )
