"""A subscription: the bounded queue between two stages, which both of them hold, with both sides' counts."""

import enum
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from headrace.pipeline.demand.window import Window
from headrace.pipeline.process.process import ExitReason

CancelMode = Literal["permanent", "transient", "temporary"]
"""What a producer's end does to its consumer (GenStage): ends it; ends it unless the end was normal; nothing."""


@dataclass(frozen=True, slots=True)
class SubscribeTo:
    """What a consumer says when it subscribes: to whom, how much it takes, and what the other's end means to it.

    `min_demand` is half of `max_demand` when it is None; `cancel` is the topology's when it is None.
    `selector` is asked by a broadcasting producer, once for each event.
    """

    producer: str
    max_demand: int = 1000
    min_demand: int | None = None
    cancel: CancelMode | None = None
    selector: Callable[[object], bool] | None = None


class MarkKind(enum.Enum):
    """What a mark in the queue says."""

    COMPLETED = "completed"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Mark:
    """An end, acted on when it is reached and never before: behind all that was delivered before it."""

    kind: MarkKind
    reason: ExitReason = "normal"


class ConsumerSide(Protocol):
    """What a subscription needs of its consumer."""

    name: str

    def arrived(self, subscription: "Subscription") -> None:
        """Take note that the queue of `subscription` is no longer empty."""


class ProducerSide(Protocol):
    """What a subscription needs of its producer."""

    name: str

    def asked(self) -> None:
        """Take note that a subscription has been asked on."""

    def left(self, subscription: "Subscription", unbegun: list[object]) -> list[object]:
        """Take note that a consumer has gone; take back what it had not begun, or return it."""


class Subscription:
    """One object, two ends. Asking is an addition, delivering is an append, and either wakes the other side.

    Always: `asked + pending + queued + in hand = window.coming <= max_demand`, and order is kept.
    `asked` is what the producer has not noticed yet, `pending` what it may still send.
    """

    __slots__ = (
        "asked",
        "born",
        "cancel",
        "consumer",
        "delivered",
        "is_open",
        "is_waiting",
        "offset",
        "pending",
        "producer",
        "queue",
        "queued",
        "selector",
        "window",
    )

    def __init__(
        self,
        producer: ProducerSide,
        consumer: ConsumerSide,
        window: Window,
        cancel: CancelMode = "permanent",
        selector: Callable[[object], bool] | None = None,
    ) -> None:
        self.producer = producer
        self.consumer = consumer
        self.window = window
        self.cancel: CancelMode = cancel
        self.selector = selector
        self.queue: deque[tuple[list[object], float] | Mark] = deque()
        self.offset = 0
        self.asked = 0
        self.pending = 0
        self.delivered = 0
        self.born = 0.0
        self.is_waiting = False
        self.is_open = True

    def ask(self, demand: int) -> None:
        """Ask for `demand` more events; asks that meet before the producer's turn are one sum."""
        self.asked += demand
        self.producer.asked()

    def deliver(self, events: list[object], born: float) -> None:
        """Put events in the queue; at most `pending`, which the caller has lowered by them."""
        self.delivered += len(events)
        self.queue.append((events, born))
        if not self.is_waiting:
            self.is_waiting = True
            self.consumer.arrived(self)

    def mark(self, mark: Mark) -> None:
        """Put a mark in the queue, behind all that was delivered."""
        self.queue.append(mark)
        if not self.is_waiting:
            self.is_waiting = True
            self.consumer.arrived(self)

    def take(self) -> list[object]:
        """Remove and return the next batch: the head delivery, or a slice of it of at most the window's batch size."""
        entry = self.queue[0]
        assert not isinstance(entry, Mark)  # noqa: S101 - the inlet looks before it takes
        events, self.born = entry
        size = self.window.batch_size
        offset = self.offset
        if not offset and len(events) <= size:
            self.queue.popleft()
            return events
        end = offset + size
        if end >= len(events):
            self.queue.popleft()
            self.offset = 0
        else:
            self.offset = end
        return events[offset:end]

    def put_back(self, events: list[object]) -> None:
        """Put a batch that was taken and not handled back at the head."""
        if self.offset:
            self.offset -= len(events)
        else:
            self.queue.appendleft((events, self.born))

    def unbegun(self) -> list[object]:
        """Remove and return all events that wait in the queue, oldest first; marks stay."""
        events: list[object] = []
        marks = []
        for entry in self.queue:
            if isinstance(entry, Mark):
                marks.append(entry)
            else:
                events.extend(entry[0][self.offset :] if not events and self.offset else entry[0])
        self.offset = 0
        self.queue.clear()
        self.queue.extend(marks)
        return events
