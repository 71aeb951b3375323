"""Errors of stages, subscriptions and graphs."""

from collections.abc import Iterable

from headrace.errors.root import HeadraceError


class StageError(HeadraceError):
    """The base of errors of stages, subscriptions and graphs."""


class DemandError(StageError):
    """`max_demand` and `min_demand` do not fit together (GenStage's `bad_opts`)."""

    def __init__(self, option: str, found: object, allowed: str) -> None:
        self.option = option
        self.found = found
        self.allowed = allowed
        super().__init__(f"{option} is {found!r}, and must be {allowed}")


class MissingCallback(StageError):
    """A stage class lacks a required callback."""

    def __init__(self, found: object, callback: str) -> None:
        self.callback = callback
        super().__init__(
            f"{type(found).__name__} has no {callback} of its own: write it, since it does the work of the stage"
        )


class MisspeltCallback(StageError):
    """A stage class has a method that looks like a callback, and would never be called."""

    def __init__(self, found: object, method: str, callback: str) -> None:
        self.method = method
        self.callback = callback
        super().__init__(
            f"{type(found).__name__} has a method {method}, which no stage calls; did you mean {callback}? "
            "A method of your own needs a name that is less like it"
        )


class BadReturn(StageError):
    """A callback returned an invalid value."""

    def __init__(self, stage: str, callback: str, found: object, allowed: str) -> None:
        self.stage = stage
        self.callback = callback
        self.found = found
        super().__init__(f"{callback} of stage {stage!r} returned {type(found).__name__}, and must return {allowed}")


class DispatcherError(StageError):
    """A dispatcher does not exist, or cannot be made."""

    def __init__(self, dispatcher: str, why: str) -> None:
        self.dispatcher = dispatcher
        super().__init__(f"the dispatcher {dispatcher} {why}")


class UnknownPartition(StageError):
    """The hash of a partition dispatcher names an unknown partition. Only that event fails."""

    def __init__(self, found: object, partitions: Iterable[object]) -> None:
        self.found = found
        super().__init__(
            f"the hash of the partition dispatcher returned {found!r:.100}, which is none of its partitions "
            f"({', '.join(map(repr, partitions))}): return one of them, or None for an event to discard"
        )


class UnknownOutput(StageError):
    """A stage with several outputs emitted an event for none of them; only that event fails. `found` may be None."""

    def __init__(self, found: str | None, outputs: Iterable[str]) -> None:
        self.found = found
        what = "without an output" if found is None else f"for the output {found!r:.100}, which it does not have"
        super().__init__(
            f"the stage emitted an event {what}: emit Output(name, event), with one of {', '.join(map(repr, outputs))}"
        )


class SubscriptionError(StageError):
    """A subscription cannot do this."""

    def __init__(self, consumer: str, producer: str, why: str, advice: str) -> None:
        self.consumer = consumer
        self.producer = producer
        super().__init__(f"the subscription of {consumer!r} to {producer!r} {why}: {advice}")


class HandlerTimeout(StageError):
    """A callback took longer over its events than its timeout."""

    def __init__(self, stage: str, seconds: float) -> None:
        self.stage = stage
        self.seconds = seconds
        super().__init__(
            f"stage {stage!r} took longer than {seconds:g} s: give it a longer timeout, or less to do at a time"
        )


class PoisonEvent(StageError):
    """An event has crashed its stage as often as it may, and is not delivered again."""

    def __init__(self, stage: str, deliveries: int) -> None:
        self.stage = stage
        self.deliveries = deliveries
        super().__init__(f"the event has crashed stage {stage!r} {deliveries} times: see the log for the errors")


class EventUndelivered(StageError):
    """A stage accepted an event and did not pass it on: the stage crashed, or the run ended."""

    def __init__(self, stage: str, reason: str) -> None:
        self.stage = stage
        self.reason = reason
        why = "crashed while it handled the event" if reason == "crash" else "did not handle it before the run ended"
        super().__init__(f"stage {stage!r} accepted the event, and {why}: replay it")


class BufferFull(StageError):
    """A stage has no place for new events, from outside or its own (`is_own`), and accepted none."""

    def __init__(self, stage: str, limit: int, *, is_own: bool = False) -> None:
        self.stage = stage
        self.limit = limit
        advice = (
            "where its buffer keeps all, check `is_full()` before you emit, and continue in `handle_room`"
            if is_own
            else "use `await emit`, which waits for room, or refuse them for now"
        )
        super().__init__(f"stage {stage!r} has no room for the events (it buffers {limit}): {advice}")


class BufferOverflow(StageError):
    """A full buffer has no place for an event, which fails: the stage does not drop it silently."""

    def __init__(self, stage: str) -> None:
        self.stage = stage
        super().__init__(
            f"the buffer of stage {stage!r} is full: speed up its consumers, give it more room, or let it block or drop"
        )


class CannotRetain(StageError):
    """A stage retains events, but gets only their data, or has several events or batches in flight."""

    def __init__(self, stage: str, *, has_data_alone: bool = False) -> None:
        self.stage = stage
        super().__init__(
            f"stage {stage!r} retains events beyond their batch, and "
            + (
                "gets only the data of messages: set takes_messages = True in its class, and derive its outputs"
                if has_data_alone
                else "has a concurrency: leave that out, since it must handle one batch after another"
            )
        )


class ReaderTooSlow(StageError):
    """The reader of a stage did not read for longer than it may. The unread events go to other consumers."""

    def __init__(self, stage: str, seconds: float) -> None:
        self.stage = stage
        self.seconds = seconds
        super().__init__(
            f"the reader of stage {stage!r} did not read for {seconds:g} s and has lost its place: "
            "read faster, or give it a longer timeout_seconds"
        )


class MetricConflict(StageError):
    """A stage declares a metric whose name another metric of the run has, which the stage `other` declares."""

    def __init__(self, metric: str, stage: str, other: str) -> None:
        self.metric = metric
        self.stage = stage
        self.other = other
        why = (
            "twice, with another kind, other labels or other buckets"
            if stage == other
            else f"and {other} exports a metric that needs the same name"
        )
        super().__init__(f"stage {stage!r} declares the metric {metric!r} {why}: give one of the two another name")


class GraphError(StageError):
    """Stages cannot be linked. `stage` names the stage to change, or the whole pipeline."""

    def __init__(self, stage: str, why: str, *, what: str = "stage") -> None:
        self.stage = stage
        self.why = why
        super().__init__(f"{what} {stage!r} {why}")


class ServiceTimeout(StageError):
    """A service of a pipeline missed the deadline of a step, such as "close"."""

    def __init__(self, service: str, step: str, seconds: float) -> None:
        self.service = service
        self.step = step
        self.seconds = seconds
        super().__init__(
            f"service {service!r} did not {step} within {seconds:g} s: see whether its store or server answers"
        )
