"""`Stage`: the base of all stages, its callbacks, outputs and settings of a class."""

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
    """The runtime's side of a stage that emits."""

    def check_loop(self, name: str) -> None:
        """Raise when the method `name` is called outside the stage's loop."""

    def emit_nowait(self, events: list[object]) -> None:
        """Deliver or buffer `events`."""

    def complete(self) -> None:
        """Emit nothing more."""

    def estimate_buffered_count(self) -> int:
        """Return how many events wait for demand."""

    def info(self, message: object) -> None:
        """Send a message that waits behind all events the stage holds."""

    def demand_by_consumer(self) -> dict[str, int]:
        """Return the unmet demand of each consumer, by its name."""


class Receiver(Protocol):
    """The runtime's side of a stage that takes events in."""

    def check_loop(self, name: str) -> None:
        """Raise when the method `name` is called outside the stage's loop."""

    def source(self) -> SubscriptionHandle:
        """Return the subscription whose batch is being handled."""

    def subscribe(self, to: SubscribeTo | str) -> SubscriptionHandle:
        """Subscribe to another stage."""


class FailureReporter(Protocol):
    """The runtime's side of single events: whether they failed, or are retained."""

    def failed_at(self, position: int, error: BaseException) -> None:
        """Called when one event of the current batch failed."""

    def failed(self, event: object, error: BaseException) -> None:
        """Called when an event failed."""

    def failed_some(self, error: BaseException, count: int) -> None:
        """Called when `count` events failed."""

    def retain(self, events: Sequence[object]) -> None:
        """Keep events beyond the current batch."""

    def release(self, events: Sequence[object]) -> None:
        """Release events, once the outputs of the running callback have been claimed."""

    def owned(self, events: Sequence[object]) -> Sequence[object]:
        """Return events that are emitted beside the return value, so that the current batch waits for them."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """The runtime's side of a stage, set before `init`. Each kind of stage has its own, with further parts."""

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
"""By the parts of a runtime: the methods of a stage that need it."""


class _NotStartedRuntime:
    """The runtime of a stage that has none yet: each part raises `NotStarted`, which names the methods that need it."""

    def __init__(self, stage: object) -> None:
        self._stage = stage

    def __getattr__(self, part: str) -> Never:
        raise NotStarted(self._stage, _METHODS[part])


class _NotStarted:
    def __get__(self, stage: object, _: type) -> _NotStartedRuntime:
        return _NotStartedRuntime(stage)


class Stage(GenServer):
    """The base of `Producer`, `ProducerConsumer` and `Consumer`; subclass one of those.

    Every optional callback is declared, with an empty body: those of a process in `Callbacks`, those of stages below.
    Each may be `def` or `async def`, but for `handle_drain`. In a stage that emits, `handle_info`, `handle_continue`,
    `handle_timeout`, `handle_cancel`, `handle_complete` and `handle_room` may return events, which are emitted.
    """

    per_event: ClassVar[bool] = False
    """Whether each event is handled on its own: on edges that carry messages the runtime unwraps and wraps."""

    takes_messages: ClassVar[bool] = False
    """Whether `handle_events` gets the `Message`s of edges that carry those, rather than what they hold.

    A stage that does not take them need not know of them: its batch is done when `handle_events` returns or, where it
    emits, when all that it returned, or emitted meanwhile, is. One that takes them says of each output what it comes of
    (`message.derive`), and may `retain` them. On other edges it gets plain events.
    """

    known_discards: ClassVar[tuple[str, ...]] = ()
    """Reasons for which this stage discards events; they are counted from 0."""

    metric_families: ClassVar[tuple[FamilySpec, ...]] = ()
    """Metrics that this stage may declare, so that `validate` can compare their names; built-in types list none."""

    known_losses: ClassVar[tuple[str, ...]] = ()
    """Input that this stage can lose before it is an event, in the plural (`files`, `datagrams`); counted from 0."""

    at_most_once: ClassVar[str] = ""
    """Why events may be lost here that their source could have sent again, as a clause; empty where none are.

    It is not about what goes by side outputs, such as `errors`.
    """

    slow_callback_advice: ClassVar[str] = SLOW_CALLBACK_ADVICE
    """The advice in the log when this stage holds the event loop for long."""

    one_to_one: ClassVar[bool] = False
    """Of a stage with `per_event`: whether `handle_events` returns exactly one output for each event that did not fail.

    Other such stages may have a `handle_each`.
    """

    max_retained: int = 0
    """How many events may wait here for others to come, where nothing lets them go after a time.

    `__init__` may set it. A source that can have fewer under way than that, because it waits for what becomes of them,
    may never send the one that would let them go.
    """

    outputs: Sequence[str] = ()
    """The names of its outputs, where it has several: each event that it emits is then an `Output(name, event)`.

    `__init__` may set it. Consumers subscribe to one of them, `SubscribeTo(stage, output=name)`, and get bare events.
    """

    side_outputs: Sequence[str] = ()
    """The names of outputs that it has beside the plain one, or the named ones: `emit_to` of a producer-consumer.

    `__init__` may set it. Consumers subscribe to one of them, `SubscribeTo(stage, output=name)`; none need.
    """

    emits_messages: bool = False
    """Whether a producer emits `Message`s, whose outcome is acknowledged."""

    outputs_with: ClassVar[Mapping[str, str]] = {}
    """By the names of outputs that it has not always, the option with which it has, as a config says that."""

    _runtime: Runtime = cast("Runtime", _NotStarted())

    def handle_subscribe(self, side: OtherSide, to: SubscribeTo, subscription: SubscriptionHandle) -> object:
        """Called for each subscription, in each life of the stage, before anything flows through it.

        `side` is what the *other* stage is. A consumer that returns "manual" asks by hand from then on,
        `subscription.ask(10)`; None and "automatic" leave that to headrace.
        """

    def handle_cancel(self, kind: CancelKind, reason: ExitReason, subscription: SubscriptionHandle) -> object:
        """Called when a subscription has ended.

        `kind` is "cancel" when either side cancelled it, "completed" when the producer was done, and "down" when the
        process of the other side ended for good (a restart is no end).
        """

    def handle_complete(self) -> object:
        """Called once, when all producers have completed and every event has been handled."""

    def handle_room(self) -> object:
        """Called when a producer may emit again: after `is_full()` was true, and after a pause."""

    def handle_drain(self) -> None:
        """Called when the run is to end: a source takes in nothing more. A plain `def`.

        A `handle_demand` that waits should return soon, for it is cancelled after that.
        """

    def awaits(self) -> bool:
        """Whether what handles events is to be awaited: it can then be bounded in time, and several can run at once."""
        return False

    def offload(self) -> Callable[[object], object] | None:
        """Return the function that makes of an event what comes of it, for OS processes to run; None if there is none.

        It is one from the top of a module; with `one_to_one` it returns the one output, else an iterable of outputs.
        """
        return None

    @property
    def name(self) -> str:
        """The stage's name. Valid from `init` on, as all that follows."""
        return self._runtime.counts.stage

    @property
    def metrics(self) -> Families:
        """Metrics of this stage's own, which survive its restarts."""
        return self._runtime.counts.families

    def connection(self, kind: str, idle_seconds: float = IDLE_SECONDS) -> ConnectionStatus:
        """Return the status of a connection, such as "database", which survives restarts: call its `up()` and `down()`.

        While it is down the run is not ready, and `headrace_connection_up` is 0. A failure counts for `idle_seconds`
        once no event waits here; `inf` is for a stage that tries again by itself.
        """
        return self._runtime.counts.connection(kind, idle_seconds)

    def discard(self, count: int, reason: str) -> None:
        """Count `count` events that go no further, for one of a few known reasons (never one that holds data)."""
        self._runtime.counts.discard(count, reason)

    def count_loss(self, count: int, what: str) -> None:
        """Count input that was lost before it became events, by one of `known_losses`. The run then ends with 1.

        The stage logs each loss, or the first of them, in its own words.
        """
        self._runtime.counts.lost[what] = self._runtime.counts.lost.get(what, 0) + count

    def fail(self, error: BaseException, count: int = 1) -> None:
        """Count `count` events that failed with `error`; logged once per class of error. The run then ends with 1.

        In a stage that handles each event on its own, that event fails. In one that handles batches it only counts:
        the sources of messages hear of `fail_event` alone.
        """
        self._runtime.failures.failed_some(error, count)

    def fail_at(self, position: int, error: BaseException) -> None:
        """Fail the event at `position` of the current batch: it is retried, dead-lettered or discarded.

        For stages that handle events one by one (`per_event`), within `handle_events` and `handle_each`.
        """
        self._runtime.failures.failed_at(position, error)

    def fail_event(self, event: object, error: BaseException) -> None:
        """Fail one event of a batch, as `handle_events` got it: it is dead-lettered or discarded.

        For stages that handle batches as a whole. Outputs derived of it that are returned all the same still count.
        """
        self._runtime.failures.failed(event, error)

    def retain(self, events: Sequence[object]) -> None:
        """Keep events beyond `handle_events`, to gather them: the sources of messages among them wait.

        A stage that crashes gets its retained messages again. Raises `CannotRetain` where messages flow and the stage
        does not say `takes_messages`: it has only their data, which could not be delivered again.
        """
        self._runtime.failures.retain(events)

    def release(self, events: Sequence[object]) -> None:
        """Release retained events; they are done when the outputs of this callback are.

        Call it in the callback that returns their outputs (`message.derive`), or where they have none.
        """
        self._runtime.failures.release(events)


NOT_EVENTS: Final = (str, bytes, bytearray, dict)
"""Iterable, but surely one event rather than many."""


GENSTAGE_REPLIES: Final = ("noreply", "reply", "stop")
"""With these a tuple is an answer of GenStage's, and surely not three events."""


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
    """Return a new list of the given events. Raises `BadOption` for a value that is surely one event.

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
