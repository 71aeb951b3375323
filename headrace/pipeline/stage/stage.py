"""`Stage`: the base of all stages, with its optional callbacks and the switches of a class."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Never, Protocol, cast

from headrace.errors import BadOption, BadReturn, NotStarted
from headrace.otp.gen_server import GenServer
from headrace.otp.process.state import ExitReason
from headrace.otp.scheduler import SLOW_CALLBACK_ADVICE
from headrace.pipeline.flow.counts import IDLE_SECONDS, ConnectionStatus, StageCounts
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.flow.subscription_handle import CancelKind, OtherSide, SubscriptionHandle
from headrace.telemetry.counts import Families, FamilySpec


class Emitter(Protocol):
    """The part of a runtime through which a stage emits."""

    def check_loop(self, name: str) -> None:
        """Raise when the method `name` is called outside the stage's loop."""

    def emit_nowait(self, events: list[object]) -> None:
        """Deliver or buffer `events`."""

    def complete(self) -> None:
        """Complete: emit no more events."""

    def estimate_buffered_count(self) -> int:
        """Return how many events wait for demand."""

    def info(self, message: object) -> None:
        """Send a message to `handle_info`, behind all events that the stage has now."""

    def demand_by_consumer(self) -> dict[str, int]:
        """Return the unmet demand of each consumer, by its name."""


class Receiver(Protocol):
    """The part of a runtime through which a stage subscribes."""

    def check_loop(self, name: str) -> None:
        """Raise when the method `name` is called outside the stage's loop."""

    def source(self) -> SubscriptionHandle:
        """Return the subscription whose batch is being handled."""

    def subscribe(self, to: SubscribeTo | str) -> SubscriptionHandle:
        """Subscribe to another stage."""


class FailureReporter(Protocol):
    """The part of a runtime through which a stage fails, retains and releases events."""

    def failed_at(self, position: int, error: BaseException) -> None:
        """Fail the event at `position` of the current batch."""

    def failed(self, event: object, error: BaseException) -> None:
        """Fail one event."""

    def failed_some(self, error: BaseException, count: int) -> None:
        """Fail `count` events."""

    def retain(self, events: Sequence[object]) -> None:
        """Keep events beyond the current batch."""

    def release(self, events: Sequence[object]) -> None:
        """Release events, once the outputs of the running callback have been claimed."""

    def owned(self, events: Sequence[object]) -> Sequence[object]:
        """Return events that a callback emits beside its return value, so that the current batch waits for them."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """The parts of the runtime that a stage calls, set before `init`. Each kind of stage has a subclass with more."""

    counts: StageCounts
    failures: FailureReporter


_METHODS: Final = {
    "counts": "name, metrics or discard()",
    "failures": "fail(), fail_at(), fail_event(), retain() or release()",
    "emitter": "emit_nowait(), complete() or info()",
    "side_outputs": "emit_to()",
    "receiver": "source or subscribe()",
    "children": "start_child(), terminate_child(), which_children() or count_children()",
}
"""The methods of a stage that need a part of the runtime, by that part."""


class _NotStartedRuntime:
    """Stands for the runtime of a stage that was not started: each part raises `NotStarted` and names its methods."""

    def __init__(self, stage: object) -> None:
        self._stage = stage

    def __getattr__(self, part: str) -> Never:
        raise NotStarted(self._stage, _METHODS[part])


class _NotStarted:
    def __get__(self, stage: object, _: type) -> _NotStartedRuntime:
        return _NotStartedRuntime(stage)


class Stage(GenServer):
    """The base of `Producer`, `ProducerConsumer` and `Consumer`: subclass one of these.

    Every optional callback is declared with an empty body, below and in `Callbacks`. Each may be `def` or `async def`,
    except `handle_drain`. In a stage that emits, `handle_info`, `handle_continue`, `handle_timeout`, `handle_cancel`,
    `handle_complete` and `handle_room` may return events, which are emitted.
    """

    per_event: ClassVar[bool] = False
    """Whether each event is handled on its own. On edges that carry messages the stage gets their data, and its outputs
    become messages."""

    takes_messages: ClassVar[bool] = False
    """Whether `handle_events` gets `Message`s, rather than their data, on edges that carry messages.

    Without it, a batch is done when `handle_events` returns or, in a stage that emits, when all events that were
    returned or emitted meanwhile are done. With it, the stage derives each output from its parents (`message.derive`),
    and may `retain` messages. On other edges it gets plain events.
    """

    known_discards: ClassVar[tuple[str, ...]] = ()
    """The reasons for which this stage discards events. Their counts start at 0."""

    metric_families: ClassVar[tuple[FamilySpec, ...]] = ()
    """The metrics that this stage may declare: `validate` compares their names. Built-in types list none."""

    known_losses: ClassVar[tuple[str, ...]] = ()
    """Kinds of input that can be lost before they are events, in the plural (`files`). Their counts start at 0."""

    at_most_once: ClassVar[str] = ""
    """Why this stage may lose events that their source could have sent again, as a clause; empty if it loses none.

    Events that go to a side output, such as `errors`, do not count as lost.
    """

    slow_callback_advice: ClassVar[str] = SLOW_CALLBACK_ADVICE
    """The advice in the log when a callback of this stage blocks the event loop."""

    one_to_one: ClassVar[bool] = False
    """Whether `handle_events` returns exactly one output for each event that did not fail. Needs `per_event`.

    A stage that returns more or fewer outputs may have a `handle_each` instead.
    """

    max_retained: int = 0
    """How many events the stage may retain while it waits for further events, where no timer releases them.

    `__init__` may set it. A source that waits for the outcome of its events, and allows fewer of them than this, may
    never send the event that would release the others.
    """

    outputs: Sequence[str] = ()
    """The names of the outputs, where there is more than one: the stage then emits each event as `Output(name, event)`.

    `__init__` may set it. A consumer subscribes to one output, `SubscribeTo(stage, output=name)`, and gets bare events.
    """

    side_outputs: Sequence[str] = ()
    """The names of further outputs of a producer-consumer, to which `emit_to` emits. They need no subscriber.

    `__init__` may set it. A consumer subscribes to one of them, `SubscribeTo(stage, output=name)`.
    """

    emits_messages: bool = False
    """Whether a producer emits `Message`s, whose outcome is acknowledged."""

    outputs_with: ClassVar[Mapping[str, str]] = {}
    """The config option that adds an output, by the name of that output."""

    _runtime: Runtime = cast("Runtime", _NotStarted())

    def handle_subscribe(self, side: OtherSide, to: SubscribeTo, subscription: SubscriptionHandle) -> object:
        """Called for each subscription before any event flows through it, and again after a restart of this stage.

        `side` is the kind of the *other* stage. A consumer that returns "manual" asks for events itself from then on,
        `subscription.ask(10)`; with None or "automatic", headrace asks.
        """

    def handle_cancel(self, kind: CancelKind, reason: ExitReason, subscription: SubscriptionHandle) -> object:
        """Called when a subscription has ended.

        `kind` is "cancel" when either side cancelled it, "completed" when the producer has completed, and "down" when
        the process of the other side ended for good (a restart does not end it).
        """

    def handle_complete(self) -> object:
        """Called once, when all producers have completed and every event has been handled."""

    def handle_room(self) -> object:
        """Called when a producer may emit again: after `is_full()` was true, and after a pause."""

    def handle_drain(self) -> None:
        """Called when the run drains: the source stops taking in events. It must be a plain `def`.

        A `handle_demand` that waits should return now: it is cancelled soon.
        """

    def awaits(self) -> bool:
        """Whether the callback that handles events is async, so that a timeout and a concurrency are possible."""
        return False

    def offload(self) -> Callable[[object], object] | None:
        """Return the function that OS processes call with an event; None if the stage has none.

        It is defined at the top of a module. It returns the output (`one_to_one`), or an iterable of outputs.
        """
        return None

    @property
    def name(self) -> str:
        """The name of the stage. It and all members below may be used in `init` and later."""
        return self._runtime.counts.stage

    @property
    def metrics(self) -> Families:
        """The metrics that this stage declares. They survive restarts."""
        return self._runtime.counts.families

    def connection(self, kind: str, idle_seconds: float = IDLE_SECONDS) -> ConnectionStatus:
        """Return the status of a connection, such as "database", which survives restarts: call its `up()` and `down()`.

        While it is down, the run is not ready, and `headrace_connection_up` is 0. When no event waits, a failure is
        forgotten after `idle_seconds`; pass `inf` if the stage reconnects by itself.
        """
        return self._runtime.counts.connection(kind, idle_seconds)

    def discard(self, count: int, reason: str) -> None:
        """Count `count` events as discarded. `reason` is one of a few fixed texts: never put data into it."""
        self._runtime.counts.discard(count, reason)

    def count_loss(self, count: int, what: str) -> None:
        """Count input that was lost before it became events, under one of `known_losses`. The run then exits with 1.

        The stage itself logs each loss, or the first one.
        """
        self._runtime.counts.lost[what] = self._runtime.counts.lost.get(what, 0) + count

    def fail(self, error: BaseException, count: int = 1) -> None:
        """Count `count` events that failed with `error`; logged once per class of error. The run then exits with 1.

        In a stage that handles each event on its own, the current event fails. In one that handles batches this only
        counts: use `fail_event` to report the failure of a message to its source.
        """
        self._runtime.failures.failed_some(error, count)

    def fail_at(self, position: int, error: BaseException) -> None:
        """Fail the event at `position` of the current batch: it is retried, dead-lettered or discarded.

        For stages with `per_event`, within `handle_events` and `handle_each`.
        """
        self._runtime.failures.failed_at(position, error)

    def fail_event(self, event: object, error: BaseException) -> None:
        """Fail one event of a batch, as `handle_events` got it: it is retried, dead-lettered or discarded.

        For stages that handle batches as a whole. Outputs that were derived from it and returned are still emitted.
        """
        self._runtime.failures.failed(event, error)

    def retain(self, events: Sequence[object]) -> None:
        """Keep events beyond `handle_events`, to gather them. The source of each message waits until it is released.

        After a crash the retained messages are delivered again. Raises `CannotRetain` where messages flow and the stage
        has no `takes_messages`: it has only their data, which cannot be delivered again.
        """
        self._runtime.failures.retain(events)

    def release(self, events: Sequence[object]) -> None:
        """Release retained events; they are done when the outputs of the running callback are done.

        Call it in the callback that returns their outputs (`message.derive`), or that drops them.
        """
        self._runtime.failures.release(events)


NOT_EVENTS: Final = (str, bytes, bytearray, dict)
"""Types that are iterable, but are one event rather than many."""


GENSTAGE_REPLIES: Final = ("noreply", "reply", "stop")
"""A tuple that begins with one of these is a reply in GenStage's form, not a tuple of events."""


def _is_genstage(returned: tuple[object, ...]) -> bool:
    return bool(returned) and isinstance(returned[0], str) and returned[0] in GENSTAGE_REPLIES


def as_list(stage: str, callback: str, returned: object) -> list[object]:
    """Return what a callback returned as a list of events, or raise `BadReturn`."""
    if isinstance(returned, list):
        return returned
    if isinstance(returned, tuple) and _is_genstage(returned):
        raise BadReturn(stage, callback, returned, "the events alone: state is kept on self, and there is no reply")
    if isinstance(returned, Iterable) and not isinstance(returned, NOT_EVENTS):
        return list(returned)
    raise BadReturn(
        stage, callback, returned, "a list of events (empty when there are none), or another iterable of them"
    )


def events_given(events: object) -> list[object]:
    """Return a new list of the given events. Raises `BadOption` for a value that is one event rather than many.

    >>> events_given(range(3))
    [0, 1, 2]
    """
    if not isinstance(events, Iterable) or isinstance(events, NOT_EVENTS):
        raise BadOption("events", events, "a list of events, or another iterable of them: put a single one in a list")
    return list(events)


def check_nothing(stage: str, returned: object, callback: str = "handle_events") -> None:
    """Raise `BadReturn` when a consumer's callback returned something."""
    if returned is not None:
        raise BadReturn(stage, callback, returned, "None: a consumer emits nothing")
