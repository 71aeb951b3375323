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

    Of a stage that handles batches as a whole: how many batches.
    """

    limit: int = 1
    mode: ExecutionMode = "inline"
    is_ordered: bool = True

    @property
    def is_plain(self) -> bool:
        """Whether batches are handled one after another on the loop."""
        return self.limit == 1 and self.mode == "inline"

    def problem(self, stage: Stage, *, has_timeout: bool) -> str | None:
        """Return why a stage cannot be handled so, as a text that follows its name; None if it can."""
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
"""One batch after another, on the loop."""


EVENT_BYTES: Final = 32
"""Bytes that an event takes beside its text."""


def text_size(text: str) -> int:
    """Return what an event takes whose text as JSON this is.

    >>> text_size("[1]")
    35
    """
    return len(text.encode(errors="surrogatepass")) + EVENT_BYTES


def event_size(event: object) -> int:
    """Return what an event takes; of a message, its data. Where it is no JSON, Python's text for it is measured.

    >>> event_size([1]), event_size({1, 2})
    (35, 38)
    """
    data = event.data if isinstance(event, Message) else event
    try:
        return text_size(json.dumps(data, ensure_ascii=False, default=json_or_repr))
    except (TypeError, ValueError, RecursionError):  # keys that are no text, or an event that holds itself
        return sys.getsizeof(data) + EVENT_BYTES


DispatcherName = Literal["demand", "broadcast", "round_robin", "weighted", "partition"]
"""The dispatchers that are built in."""

PRODUCER_BUFFER_SIZE: Final = 10_000
"""Events that a producer buffers before it discards (GenStage's default)."""

_CHOICES: Final[dict[str, object]] = {"buffer_keep": KeepPolicy, "restart": Restart, "demand": DemandMode}


@dataclass(frozen=True, slots=True)
class StageSettings:
    """How a stage dispatches, buffers and restarts.

    `dispatcher` is the name of an installed one, or makes one: `partial(PartitionDispatcher, 4)`. `buffer_size` counts
    events; None is the kind's default: 10,000 for a producer, no limit for a producer-consumer, whose overshoot is at
    most one delivery's outputs. `buffer_bytes` bounds their bytes, too: of each event the bytes of its JSON text, and
    32; not of events in a dispatcher's own queues (partitions). None leaves that to the stage, too: most have no such
    bound, and sources to which others send have one of 64 MiB.
    `buffer_keep` says which end survives an overflow; with "all" nothing is discarded, and senders have to wait.
    None leaves that to the stage: one that can turn its senders away does, and others keep the last. What does not
    survive is discarded; with `overflow_fails` it has failed. With `demand="accumulate"` the stage takes no ask, and
    delivers nothing, until `handle.demand("forward")`.

    `retry` says how often events that fail are tried again, and how long between; then `handle_events` that raises is
    no crash, but fails the events it was given. `timeout_seconds` bounds an async `handle_events`: each event's, where
    the stage handles them one by one, else a batch's. Events that failed for good go to the pipeline's dead letters,
    where it has some and `dead_letters` is true. A message that has brought the stage down `max_deliveries` times has
    failed for good.
    `concurrency` lets a stage that handles events one by one have several of them under way, on the loop, in threads or
    in OS processes, and one whose `handle_events` is async several batches.
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
        size: object = self.buffer_size
        if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 0):
            yield f"has a buffer_size of {size!r}: it must be a whole number, 0 or more, or None for the default"
        size_bytes: object = self.buffer_bytes
        if size_bytes is not None and (not isinstance(size_bytes, int) or size_bytes is True or size_bytes < 1):
            yield f"has buffer_bytes of {size_bytes!r}: it must be a whole number, 1 or more, or None for no such bound"
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
        limit: object = self.concurrency.limit
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
            yield f"has a concurrency of {limit!r}: it must be a whole number, 1 or more"
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
        most: object = self.max_deliveries
        if not isinstance(most, int) or isinstance(most, bool) or most < 1:
            yield f"has max_deliveries of {most!r}: it must be a whole number, 1 or more"

    def make_dispatcher(self) -> Dispatcher[Subscription]:
        """Return a new dispatcher. Raises `DispatcherError` when there is none of that name, or it cannot be made."""
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
        """Return how the stage takes failures; `dead_letter_handler` keeps what it gives up, if it may."""
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
        """Return a new producer's side as the settings say, else as the stage does."""
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
