"""`StageSettings`, `Concurrency`, event sizes."""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, Literal, cast, get_args

from headrace.errors import DispatcherError
from headrace.otp.supervision.restart import Restart
from headrace.pipeline.demand.buffer import Buffer, KeepPolicy, Sizes
from headrace.pipeline.dispatchers.dispatcher import Dispatcher
from headrace.pipeline.dispatchers.entry_points import find_dispatcher
from headrace.pipeline.failure import DeadLetterHandler, FailurePolicy, Retry
from headrace.pipeline.flow.counts import StageCounts
from headrace.pipeline.flow.output import DemandMode, StageOutput
from headrace.pipeline.flow.subscription import Subscription
from headrace.pipeline.message import Message
from headrace.pipeline.stage.stage import Stage
from headrace.values import json_or_repr

_BATCH_BLOCKS: Final = "a `def` on the loop holds it until it returns; leave it out, or make that an `async def`"
_BLOCKS: Final = "a `def` on the loop holds it until it returns; make it an `async def`, or use executor thread"

ExecutionMode = Literal["inline", "thread", "subprocess"]
"""On the event loop, in a thread, or in an OS process."""


@dataclass(frozen=True, slots=True)
class Concurrency:
    """How many events of a stage are handled at a time, where, and whether outputs keep the order of their events.

    For a stage that handles batches as a whole, `limit` counts batches.
    """

    limit: int = 1
    mode: ExecutionMode = "inline"
    is_ordered: bool = True

    @property
    def is_plain(self) -> bool:
        """Whether batches are handled one after another on the event loop."""
        return self.limit == 1 and self.mode == "inline"

    def problem(self, stage: Stage, *, has_timeout: bool) -> str | None:
        """Return why a stage cannot run with this concurrency, as a text that follows its name; None if it can."""
        if self.is_plain:
            is_kept = not has_timeout or stage.awaits()
            return None if is_kept else f"has a timeout that cannot be kept: {_BLOCKS}"
        if not stage.per_event and self.mode != "inline":
            return "handles batches as a whole, so no executor is for it: leave that out"
        if self.mode == "subprocess" and stage.offload() is None:
            return "has no function that OS processes could run: use executor thread, or a map with `call`"
        if self.mode == "inline" and not stage.awaits():
            remedy = _BLOCKS if stage.per_event else _BATCH_BLOCKS
            return f"has a concurrency of {self.limit}, which would change nothing: {remedy}"
        return None


PLAIN_CONCURRENCY: Final = Concurrency()
"""One batch after another, on the event loop."""


EVENT_BYTES: Final = 32
"""The bytes of an event beside its text."""


def text_size(text: str) -> int:
    """Return the bytes of an event with this JSON text.

    >>> text_size("[1]")
    35
    """
    return len(text.encode(errors="surrogatepass")) + EVENT_BYTES


def event_size(event: object) -> int:
    """Return the bytes of an event, or of the data of a message. If it is no JSON, its size in memory is taken.

    >>> event_size([1]), event_size({1, 2})
    (35, 38)
    """
    data = event.data if isinstance(event, Message) else event
    try:
        return text_size(json.dumps(data, ensure_ascii=False, default=json_or_repr))
    except (TypeError, ValueError, RecursionError):  # keys that are no text, or an event that holds itself
        return sys.getsizeof(data) + EVENT_BYTES


DispatcherName = Literal["demand", "broadcast", "round_robin", "weighted", "partition"]
"""The built-in dispatchers."""

PRODUCER_BUFFER_SIZE: Final = 10_000
"""Events that a producer buffers before it discards (GenStage's default)."""

_CHOICES: Final[dict[str, object]] = {"buffer_keep": KeepPolicy, "restart": Restart, "demand": DemandMode}


def _whole(option: str, found: object, least: int, if_none: str = "") -> Iterator[str]:
    """Yield a problem unless `found` is a whole number, `least` or more; or None, where `if_none` allows that."""
    is_allowed = found is None and if_none
    if not is_allowed and (not isinstance(found, int) or isinstance(found, bool) or found < least):
        yield f"has {option} of {found!r}: it must be a whole number, {least} or more{if_none}"


@dataclass(frozen=True, slots=True)
class StageSettings:
    """How a stage dispatches, buffers, restarts, and handles failures.

    `dispatcher` names an installed dispatcher, or is a function that makes one: `partial(PartitionDispatcher, 4)`.

    `buffer_size` is the limit of the buffer in events. None is the default of the kind: 10,000 for a producer, no limit
    for a producer-consumer, which overshoots by the outputs of one delivery at most. `buffer_bytes` is its limit in
    bytes: the JSON text of each event and 32 bytes more, without events in the queues of a dispatcher (partitions).
    None is the default of the stage: no limit, or 64 MiB for a source to which clients send events.
    `buffer_keep` chooses which events a full buffer keeps. With "all" it discards none, and senders have to wait. None
    is the default of the stage: "all" if it can refuse its senders, else "last". The other events are discarded; with
    `overflow_fails` they count as failed. With `demand="accumulate"` the stage collects demand, and delivers nothing,
    until `handle.demand("forward")`.

    With a `retry`, failed events are tried again, and an exception of `handle_events` is no crash: it fails the events
    of that call. `timeout_seconds` limits an async `handle_events`, for each event (`per_event`) or for a batch. Events
    that failed for good become dead letters, if the pipeline stores these and `dead_letters` is true. A message that
    crashed the stage `max_deliveries` times has failed for good.
    `concurrency` allows more than one event at a time for a stage with `per_event`, on the event loop, in threads or in
    OS processes; and more than one batch for other stages whose `handle_events` is async.
    """

    dispatcher: DispatcherName | str | Callable[[], Dispatcher[Subscription]] = "demand"
    buffer_size: int | None = None
    buffer_keep: KeepPolicy | None = None
    restart: Restart = "transient"
    shutdown_seconds: float = 5.0
    demand: DemandMode = "forward"
    retry: Retry | None = None
    timeout_seconds: float | None = None
    dead_letters: bool = True
    max_deliveries: int = 3
    concurrency: Concurrency = PLAIN_CONCURRENCY
    buffer_bytes: int | None = None
    overflow_fails: bool = False

    def problems(self) -> Iterator[str]:
        """Yield all problems, each as a text that follows the stage's name."""
        try:
            self.make_dispatcher()
        except DispatcherError as error:
            yield f"has a dispatcher that cannot be: {error}"
        yield from _whole("a buffer_size", self.buffer_size, 0, ", or None for the default")
        yield from _whole("buffer_bytes", self.buffer_bytes, 1, ", or None for no such bound")
        seconds: object = self.shutdown_seconds
        if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not seconds >= 0:
            yield f"has a shutdown_seconds of {seconds!r}: it must be a number of seconds, 0 or more"
        yield from self._failure_problems()
        for key, literal in _CHOICES.items():
            value, allowed = getattr(self, key), get_args(literal)
            if value not in allowed and not (value is None and key == "buffer_keep"):
                near = get_close_matches(value, allowed, 1) if isinstance(value, str) else []
                hint = f"; did you mean {near[0]!r}?" if near else ""
                *others, last = map(repr, allowed)
                yield f"has a {key} of {value!r}: it must be {', '.join(others)} or {last}{hint}"

    def _failure_problems(self) -> Iterator[str]:
        yield from _whole("a concurrency", self.concurrency.limit, 1)
        yield from _whole("max_deliveries", self.max_deliveries, 1)
        if self.concurrency.mode not in get_args(ExecutionMode):
            yield f"has an executor {self.concurrency.mode!r}: it must be one of {', '.join(get_args(ExecutionMode))}"
        retry: object = self.retry
        if isinstance(retry, Retry):
            yield from (f"has a retry {problem}" for problem in retry.problems())
        elif retry is not None:
            yield f"has a retry of {retry!r}: it must be a Retry, or None"
        timeout: object = self.timeout_seconds
        if not (timeout is None or (isinstance(timeout, int | float) and timeout is not True and timeout > 0)):
            yield f"has a timeout_seconds of {timeout!r}: it must be a number of seconds above 0, or None"

    def make_dispatcher(self) -> Dispatcher[Subscription]:
        """Return a new dispatcher. Raises `DispatcherError` when the name is unknown, or the function makes none."""
        value: object = self.dispatcher
        factory = find_dispatcher(value) if isinstance(value, str) else value
        if not callable(factory):
            raise DispatcherError(repr(value), "is no dispatcher: give a name, or what makes one, as a class does")
        dispatcher = cast("object", factory())
        if Dispatcher not in type(dispatcher).__mro__:
            made = type(dispatcher).__name__
            raise DispatcherError(
                repr(value), f"makes a {made}: it must make an object whose class subclasses Dispatcher"
            )
        return cast("Dispatcher[Subscription]", dispatcher)

    def failure(self, dead_letter_handler: DeadLetterHandler | None) -> FailurePolicy:
        """Return the failure policy; `dead_letter_handler` is left out unless `dead_letters` is true."""
        return FailurePolicy(
            self.retry, self.timeout_seconds, self.max_deliveries, dead_letter_handler if self.dead_letters else None
        )

    def make_output(
        self,
        default_buffer_size: int | None,
        counts: StageCounts,
        default_keep: KeepPolicy = "last",
        default_bytes: int | None = None,
    ) -> StageOutput:
        """Return a new output. The defaults of the stage apply to limits that the settings leave out."""
        limit = default_buffer_size if self.buffer_size is None else self.buffer_size
        if self.overflow_fails and default_keep == "last":
            default_keep = "first"
        size_bytes = default_bytes if self.buffer_bytes is None else self.buffer_bytes
        sizes = None if size_bytes is None else Sizes(size_bytes, event_size)
        stage_output = StageOutput(
            self.make_dispatcher(), Buffer(limit, self.buffer_keep or default_keep, sizes), counts
        )
        stage_output.overflow_fails = self.overflow_fails
        stage_output.is_lossy = self.buffer_keep in ("first", "last") and not self.overflow_fails
        if self.demand == "accumulate":
            stage_output.accumulate()
        return stage_output
