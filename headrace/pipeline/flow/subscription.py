"""A subscription: the bounded queue that two stages share, with the counts of both sides."""

import enum
from collections import Counter, deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush, heapreplace
from typing import ClassVar, Literal, Protocol

from headrace.otp.process.process import ExitReason
from headrace.otp.scheduler import Scheduler, TurnTimes
from headrace.pipeline.demand.window import EndedWindow, ManualWindow, Window

CancelMode = Literal["permanent", "transient", "temporary"]
"""The effect of a producer's end on its consumer (GenStage): it ends; it ends unless the end was normal; none."""


@dataclass(frozen=True, slots=True)
class SubscribeTo:
    """The options of a subscription: the producer, the bounds of demand, and the effect of the producer's end.

    `min_demand` is half of `max_demand` when it is None; `cancel` is the topology's when it is None.
    The other options are for the producer's dispatcher. A broadcasting one calls `selector` once for each event; a
    partitioning one sends the consumer the events of its `partition`; a weighted one gives a consumer `weight` times as
    many events as one of weight 1. `options` mean nothing to headrace: `handle_subscribe` of both sides and the
    dispatcher see them.
    `output` names an output or a side output of the producer, for a subscription before the start. Each stage with an
    input has the side output "errors", with descriptions of its failed events.
    """

    producer: str
    max_demand: int = 1000
    min_demand: int | None = None
    cancel: CancelMode | None = None
    selector: Callable[[object], bool] | None = None
    partition: Hashable | None = None
    weight: int = 1
    options: Mapping[str, object] = field(default_factory=dict)
    output: str | None = None


class MarkerKind(enum.Enum):
    """The kinds of markers in the queue."""

    INFO = "info"
    COMPLETED = "completed"
    CANCEL = "cancel"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Marker:
    """An end or an info in the queue. It is handled after all events that were delivered before it."""

    kind: MarkerKind
    reason: ExitReason = "normal"
    is_own: bool = False
    """Whether the consumer itself has ended the subscription. It then continues in every cancel mode."""
    reached: Callable[[], None] | None = None
    """Called when an info is due; None for an end."""


class Line:
    """The subscriptions of one consumer whose queue is not empty; first the one that was served longest ago.

    Entries may be out of date. `first` checks the first one: it moves an entry that was served since, and removes one
    whose queue is empty.
    """

    __slots__ = ("_count", "_heap")

    def __init__(self) -> None:
        self._heap: list[tuple[int, Subscription]] = []
        self._count = 0

    def join(self, subscription: "Subscription") -> None:
        """Add a subscription, as if it had been served just now."""
        subscription.line = self
        self.serve(subscription)
        if subscription.queue and not subscription.is_listed:
            self.add(subscription)

    def add(self, subscription: "Subscription") -> None:
        """Called when the queue of a subscription that is not listed gets an entry."""
        subscription.is_listed = True
        heappush(self._heap, (subscription.served, subscription))

    def serve(self, subscription: "Subscription") -> None:
        """Put a subscription behind all others, after its turn."""
        self._count += 1
        subscription.served = self._count

    def first(self) -> "Subscription | None":
        """Return the subscription whose turn it is; None when nothing waits."""
        heap = self._heap
        while heap:
            since, subscription = heap[0]
            if not subscription.queue:
                heappop(heap)
                subscription.is_listed = False
            elif since != subscription.served:
                heapreplace(heap, (subscription.served, subscription))
            else:
                return subscription
        return None

    def leave(self, subscription: "Subscription") -> None:
        """Remove a subscription that has ended, or is the only one left."""
        subscription.line = None
        if subscription.is_listed:
            subscription.is_listed = False
            self._heap = [entry for entry in self._heap if entry[1] is not subscription]
            heapify(self._heap)


class StageEnd(Protocol):
    """Either end of a subscription."""

    name: str
    turns: TurnTimes


class ProducerEnd(StageEnd, Protocol):
    """The producer's end of a subscription."""

    def on_unsubscribe(self, subscription: "Subscription", unbegun: list[object]) -> list[object]:
        """Called when a consumer has left. Requeue its unbegun events, or return them."""

    def demand_withdrawn(self, subscription: "Subscription", demand: int) -> None:
        """Called when a consumer withdraws `demand` that was reported to the dispatcher."""


class Subscription:
    """One object that two stages share. To ask is an addition, to deliver is an append; each wakes the other side.

    Invariant: `asked + pending + queued + in flight = window.outstanding <= max_demand`; order is kept.
    `ended` is the end marker, set when one side ends the subscription. When the consumer has handled all events before
    it, the subscription `is_closed`, and its counts do not change any more.
    `deferred_demand` is demand that the consumer asked for by hand while its `handle_subscribe` runs, which may return
    "manual", and `kept` is demand from before that; each is None at other times.
    `pending` is the demand that the producer may still meet. `asked` is not reported to its dispatcher yet; it stays 0
    for a single subscriber, where the dispatcher has no choice. Where a consumer has several subscriptions, the ones
    whose queue is not empty are in its `line`. The queue holds deliveries `(events, ingestion time of the first)`, and
    `(None, 0.0)` in the position of each of the `markers`.
    """

    __slots__ = (
        "asked",
        "cancel",
        "consumer",
        "consumer_turns",
        "deferred_demand",
        "delivered",
        "demand_withdrawn",
        "ended",
        "has_single_subscriber",
        "is_closed",
        "is_listed",
        "kept",
        "line",
        "markers",
        "offset",
        "options",
        "partition",
        "pending",
        "producer",
        "producer_turns",
        "queue",
        "selector",
        "served",
        "taken_back",
        "to",
        "wake",
        "weight",
        "window",
    )

    is_kept: ClassVar[bool] = False
    """Whether its producer keeps sent events until they were handled."""

    def __init__(
        self,
        producer: ProducerEnd,
        consumer: StageEnd,
        window: Window,
        to: SubscribeTo,
        scheduler: Scheduler,
    ) -> None:
        self.producer = producer
        self.consumer = consumer
        self.wake = scheduler.wake
        self.producer_turns = producer.turns
        self.consumer_turns = consumer.turns
        self.window = window
        self.to = to
        self.ended: Marker | None = None
        self.cancel: CancelMode = "permanent" if to.cancel is None else to.cancel
        self.selector = to.selector
        self.partition = to.partition
        self.weight = to.weight
        self.options = to.options
        self.queue: deque[tuple[list[object] | None, float]] = deque()
        self.markers: deque[Marker] = deque()
        self.offset = 0
        self.is_closed = False
        self.has_single_subscriber = False
        self.line: Line | None = None
        self.is_listed = False
        self.served = 0
        self.asked = 0
        self.pending = 0
        self.delivered = 0
        self.taken_back = 0
        self.deferred_demand: int | None = None
        self.kept: int | None = None
        self.demand_withdrawn = 0

    def ask(self, demand: int) -> None:
        """Ask for `demand` more events. All demand before the next turn of the producer is one sum."""
        if self.has_single_subscriber:
            self.pending += demand
        else:
            self.asked += demand
        self.wake(self.producer_turns)

    def handled(self, size: int) -> None:
        """Account for a batch of `size` events that the consumer has handled, and ask for more when it is due."""
        demand = self.window.handled(size)
        if demand:
            if self.has_single_subscriber:
                self.pending += demand
            else:
                self.asked += demand
            self.wake(self.producer_turns)

    def send(self, events: list[object], ingested_at: float, size: int) -> None:
        """Send `size` events, at most `pending`."""
        self.pending -= size
        self.delivered += size
        self.queue.append((events, ingested_at))
        if self.line is not None and not self.is_listed:
            self.line.add(self)
        self.wake(self.consumer_turns)

    def deliver(self, events: list[object], ingested_at: float) -> None:
        """Put events in the queue. The dispatcher has subtracted them from `pending`."""
        self.delivered += len(events)
        self.queue.append((events, ingested_at))
        if self.line is not None and not self.is_listed:
            self.line.add(self)
        self.wake(self.consumer_turns)

    def add_marker(self, marker: Marker) -> None:
        """Put a marker in the queue, behind all delivered events."""
        if marker.kind is not MarkerKind.INFO:
            self.ended = marker
        self.markers.append(marker)
        self.queue.append((None, 0.0))
        if self.line is not None and not self.is_listed:
            self.line.add(self)
        self.wake(self.consumer_turns)

    def withdraw_demand(self) -> None:
        """Ask for nothing more, and withdraw all unmet demand. Events in flight are still accounted for.

        Both stages have removed the subscription, or are about to.
        """
        unfinished = self.unfinished()
        if not isinstance(self.window, ManualWindow):
            self.window = EndedWindow(self.window)
        self.window.outstanding = unfinished
        self.demand_withdrawn += self.asked + self.pending
        self.asked = self.pending = 0

    def withdraw_some(self, demand: int) -> int:
        """Withdraw `demand`, unreported demand first; return the part that the dispatcher must withdraw."""
        unreported = min(demand, self.asked)
        self.asked -= unreported
        self.demand_withdrawn += demand
        if self.has_single_subscriber:
            self.pending -= demand
            return 0
        return demand - unreported

    def unfinished(self) -> int:
        """Return how many events wait in the queue or are in flight."""
        return self.window.outstanding - self.asked - self.pending

    def dequeue(self) -> tuple[list[object] | None, float]:
        """Take the next batch from the queue, with its ingestion time; None stands for the next marker."""
        events, ingested_at = self.queue.popleft()
        if events is not None and (self.offset or len(events) > self.window.batch_size):
            events = self.cut(events, ingested_at)
        return events, ingested_at

    def cut(self, events: list[object], ingested_at: float) -> list[object]:
        """Return the next batch of a delivery that is longer than a batch. The rest stays at the head of the queue."""
        offset = self.offset
        end = offset + self.window.batch_size
        if end < len(events):
            self.queue.appendleft((events, ingested_at))
            self.offset = end
        else:
            self.offset = 0
        return events[offset:end]

    def put_back(self, events: list[object], ingested_at: float) -> None:
        """Put a batch that was not handled back at the head of the queue."""
        if self.offset:
            head, _ = self.queue.popleft()
            events = events if head is None else [*events, *head[self.offset :]]
            self.offset = 0
        self.queue.appendleft((events, ingested_at))
        if self.line is not None and not self.is_listed:
            self.line.add(self)

    def put_back_singly(self, events: list[object], ingested_at: float) -> None:
        """Put events back at the head of the queue, each as a delivery of its own, so that each is handled alone."""
        if self.offset:
            head, since = self.queue.popleft()
            self.queue.appendleft((head and head[self.offset :], since))
            self.offset = 0
        self.queue.extendleft(([event], ingested_at) for event in reversed(events))
        if self.line is not None and not self.is_listed:
            self.line.add(self)
        self.wake(self.consumer_turns)

    def unbegun(self) -> list[object]:
        """Remove and return all events in the queue, oldest first. Markers stay."""
        events: list[object] = []
        for delivery, _ in self.queue:
            if delivery is not None:
                events.extend(delivery[self.offset :])
                self.offset = 0
        self.queue.clear()
        self.queue.extend((None, 0.0) for _ in self.markers)
        self.delivered -= len(events)
        self.taken_back += len(events)
        return events


def without(events: list[object], removed: Sequence[object]) -> list[object]:
    """Return the events without the objects in `removed`. An object is removed as often as `removed` holds it."""
    times = Counter(map(id, removed))
    rest: list[object] = []
    for event in events:
        if times[id(event)] > 0:
            times[id(event)] -= 1
        else:
            rest.append(event)
    return rest
