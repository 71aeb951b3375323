"""The consumer's side of all its subscriptions: batches in turn, events in flight, new demand."""

from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Final, cast

from headrace.otp.process.process import ExitReason
from headrace.pipeline.flow.counts import StageCounts
from headrace.pipeline.flow.subscription import CancelMode, Line, Marker, MarkerKind, Subscription, without
from headrace.pipeline.message import Message, Outcome, acknowledge


def exit_reason(cancel: CancelMode, reason: ExitReason) -> ExitReason | None:
    """Return the reason with which a consumer ends when a producer of it ended with `reason`; None when it lives on.

    >>> exit_reason("permanent", "normal"), exit_reason("transient", "normal"), exit_reason("temporary", KeyError("k"))
    ('normal', None, None)
    """
    if cancel == "temporary" or (cancel == "transient" and isinstance(reason, str)):
        return None
    return reason


class _Nothing:
    """The first subscription of a stage that has none: its queue is empty."""

    queue: Final[deque[object]] = deque(maxlen=0)


_NOTHING: Final = _Nothing()

_FINISHED: Final = object()
"""The place of a finished event in the current batch, while older events are not finished."""


_END: Final = attrgetter("end")


@dataclass(slots=True)
class BatchSlice:
    """One of several batches in flight: its subscription, ingestion time, and the position behind its last event."""

    subscription: Subscription
    ingested_at: float
    end: int


class StageInput:
    """The subscriptions of one consumer, served in turn.

    A batch is in flight from the dequeue until it is finished, requeued or put back, so that a crash is known to hit
    these events. Its last events are of the subscription `source`, the others may be of other ones. The input
    `is_over` when the producer of the last subscription has ended it: no other one follows.
    """

    __slots__ = (
        "_line",
        "_portions",
        "_received",
        "_trimmed",
        "counts",
        "current_batch",
        "current_size",
        "first",
        "ingested_at",
        "is_acknowledged",
        "is_by_delivery",
        "is_over",
        "is_single",
        "source",
        "subscriptions",
    )

    def __init__(self, counts: StageCounts, *, is_by_delivery: bool) -> None:
        """With `is_by_delivery` a subscription keeps its turn for a whole delivery (in producer-consumers)."""
        self.counts = counts
        self.is_acknowledged = False
        self.is_by_delivery = is_by_delivery
        self.subscriptions: dict[Subscription, None] = {}
        self._line = Line()
        self.current_batch: list[object] | None = None
        self.current_size = 0
        self._trimmed = 0
        self._portions: list[BatchSlice] = []
        self.ingested_at = 0.0
        self.is_single = False
        self.is_over = False
        self.source = self.first = cast("Subscription", _NOTHING)
        self._received = 0

    def subscribe(self, subscription: Subscription) -> None:
        """Add a subscription, and ask for nothing yet."""
        self.subscriptions[subscription] = None
        self.is_over = False
        if len(self.subscriptions) == 1:
            self.is_single = True
            self.first = subscription
            return
        if self.is_single:
            self.is_single = False
            self._line.join(next(iter(self.subscriptions)))
        self._line.join(subscription)

    def open(self, subscription: Subscription) -> None:
        """Ask for the first events on a subscription, unless it has asked before, or has ended."""
        demand = 0 if subscription.ended is not None else subscription.window.open()
        if demand:
            subscription.ask(demand)

    def waiting(self) -> Subscription | None:
        """Return the subscription whose turn it is, of the ones with a queue that is not empty; None without any."""
        if self.first.queue or self.is_single:
            return self.first if self.first.queue else None
        subscription = self._line.first()
        if subscription is not None:
            self.first = subscription
        return subscription

    def to_back(self, subscription: Subscription) -> None:
        """Give a subscription its next turn after all others, for a stage that does not use `waiting`."""
        del self.subscriptions[subscription]
        self.subscriptions[subscription] = None

    def next_batch(self) -> "list[object] | Marker | None":
        """Return the next batch, now in flight; or a marker, which is removed; or None when nothing waits."""
        subscription = self.waiting()
        if subscription is None:
            return None
        events, ingested_at = subscription.dequeue()
        if events is None:
            self.source = subscription
            return subscription.markers.popleft()
        self.start_batch(subscription, events, ingested_at, len(events))
        return events

    def start_batch(self, subscription: Subscription, events: list[object], ingested_at: float, size: int) -> None:
        """Mark a batch of `size` events as in flight. A callback may have changed its list since."""
        self.source = subscription
        self.current_batch = events
        self.ingested_at = ingested_at
        self.current_size = size
        self._trimmed = 0
        self._portions.clear()

    def rotate(self, subscription: Subscription) -> None:
        """Give the next subscription its turn, after a batch of this one (or its whole delivery)."""
        if not (self.is_single or (self.is_by_delivery and subscription.offset)):
            self._line.serve(subscription)
            self.first = self._line.first() or cast("Subscription", _NOTHING)

    def finish_batch(self) -> None:
        """Account for the current batch, or the rest of several, as handled."""
        self.current_batch = None
        self.source.handled(self.current_size)
        self.rotate(self.source)

    def add_to_batch(self) -> list[object] | None:
        """Take one more batch, of the subscription whose turn it is, and return it.

        None when nothing waits, or a marker is next: a marker is handled when no event is in flight.
        """
        if self.current_batch is None:
            return None
        self.rotate(self.source)
        subscription = self.waiting()
        if subscription is None or subscription.queue[0][0] is None:
            return None
        events, ingested_at = cast("tuple[list[object], float]", subscription.dequeue())
        self._join(self.current_batch, subscription, events, ingested_at)
        return list(events)

    def _join(
        self, current_batch: list[object], subscription: Subscription, events: list[object], ingested_at: float
    ) -> None:
        """Add a batch to the current one, behind its events."""
        portions, position = self._portions, self._trimmed + len(current_batch)
        if not portions:
            portions.append(BatchSlice(self.source, self.ingested_at, position))
        current_batch.extend(events)
        portions.append(BatchSlice(subscription, ingested_at, position + len(events)))
        self.source = subscription
        self.ingested_at = ingested_at
        self.current_size += len(events)

    def ingestion_times(self, positions: Sequence[int]) -> Iterable[float]:
        """Return the ingestion time of each batch that the events at these positions belong to, once."""
        if not self._portions:
            return (self.ingested_at,) if positions else ()
        return {at: self._portions[at].ingested_at for at in map(self._portion_at, positions)}.values()

    def _portion_at(self, position: int) -> int:
        return bisect_right(self._portions, position, key=_END)

    def finish_events(self, positions: Sequence[int]) -> None:
        """Account for the events in flight at these positions as handled, in any order."""
        current_batch = self.current_batch
        if current_batch is None:
            return
        for position in positions:
            current_batch[position - self._trimmed] = _FINISHED
        ahead = next((at for at, event in enumerate(current_batch) if event is not _FINISHED), len(current_batch))
        del current_batch[:ahead]
        self._trimmed += ahead
        self.current_size -= len(positions)
        if self.is_single or not self._portions:
            self.source.handled(len(positions))
        else:
            for at, count in Counter(map(self._portion_at, positions)).items():
                self._portions[at].subscription.handled(count)
        del self._portions[: self._portion_at(self._trimmed)]

    def in_parts(self) -> list[tuple[BatchSlice, list[object]]]:
        """Return the events in flight that are not finished, batch by batch, oldest first."""
        begin, rest = self._trimmed, self.current_batch or []
        portions = self._portions or [BatchSlice(self.source, self.ingested_at, begin + len(rest))]
        parts: list[tuple[BatchSlice, list[object]]] = []
        for portion in portions:
            events = rest[begin - self._trimmed : portion.end - self._trimmed]
            parts.append((portion, [event for event in events if event is not _FINISHED]))
            begin = portion.end
        return parts

    def in_flight(self) -> int:
        """Return how many events wait in the queues or are in flight."""
        return sum(subscription.unfinished() for subscription in self.subscriptions)

    def received(self) -> int:
        """Return how many events were finished or requeued since the start."""
        return self._received + sum(
            subscription.delivered - subscription.unfinished() for subscription in self.subscriptions
        )

    def end(self, subscription: Subscription, marker: Marker) -> ExitReason | None:
        """Close a subscription at its end marker.

        Return the reason with which the consumer must end; None where it lives on.
        """
        self._close(subscription)
        for info in subscription.markers:  # sent after the end marker, before that was handled
            if info.reached is not None:
                info.reached()
        if marker.is_own:
            return None
        self.is_over = not self.subscriptions
        return None if marker.kind is MarkerKind.COMPLETED else exit_reason(subscription.cancel, marker.reason)

    def unsubscribe(self, subscription: Subscription, reason: ExitReason) -> None:
        """End a subscription from the consumer's side, by a marker behind the current batch, in an empty queue."""
        unbegun = subscription.unbegun()
        subscription.window.outstanding -= len(unbegun)
        subscription.ended = Marker(MarkerKind.CANCEL, reason)
        self._give_back(subscription, unbegun)
        subscription.withdraw_demand()
        infos = [marker for marker in subscription.markers if marker.kind is MarkerKind.INFO]
        subscription.queue.clear()
        subscription.markers.clear()
        for info in infos:
            subscription.add_marker(info)
        subscription.add_marker(Marker(MarkerKind.CANCEL, reason, is_own=True))

    def info(self, reached: Callable[[], None]) -> None:
        """Call `reached` when all events that wait in the queues now have been taken; at once when none waits."""
        waiting = [subscription for subscription in self.subscriptions if subscription.queue]
        left = len(waiting)

        def one_reached() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                reached()

        for subscription in waiting:
            subscription.add_marker(Marker(MarkerKind.INFO, reached=one_reached))
        if not waiting:
            reached()

    def change(self, subscription: Subscription, max_demand: int, min_demand: int | None) -> None:
        """Change the bounds of demand. Ask for more where they allow it, and withdraw unsent demand beyond them."""
        former = subscription.window
        window = subscription.window = type(former)(max_demand, min_demand).resumed_at(former.outstanding)
        excess = min(window.outstanding - max_demand, subscription.asked + subscription.pending)
        if excess > 0:
            window.outstanding -= excess
            reported = subscription.withdraw_some(excess)
            if reported:
                subscription.producer.demand_withdrawn(subscription, reported)
        elif demand := window.missing():
            subscription.ask(demand)

    def requeue_in_flight(self, *, is_crash: bool, sent_to_side_output: Sequence[object] = ()) -> None:
        """Requeue the messages in flight, to be delivered again. Discard plain events, and ask for others.

        The events in `sent_to_side_output` have left by a side output, and are counted there.
        """
        if self.current_batch is None:
            return
        parts, size = self.in_parts(), self.current_size
        self.current_batch = None
        if self.is_acknowledged:
            for portion, events in reversed(parts):
                self._again(events, portion.subscription, portion.ingested_at)
            return
        reason = "crash" if is_crash else "cancelled"
        for portion, events in parts:
            count = len(events) if self._portions else size  # callbacks may have changed the list of a single batch
            rest = without(events, sent_to_side_output)
            lost = max(0, count - (len(events) - len(rest)))
            self.counts.leave([] if portion.subscription.is_kept else rest, reason, lost)
            portion.subscription.handled(count)

    def redeliver(self, messages: list[object], *, is_again: bool = True) -> None:
        """Deliver messages that the former callbacks retained, before all events that wait.

        `is_again` counts this as one more delivery of each. Where no subscription is left, the messages have failed.
        """
        if not messages:
            return
        if not self.subscriptions:
            self.counts.discard(len(messages), "crash")
            acknowledge(messages, Outcome.FAILED)
            return
        subscription = next(iter(self.subscriptions))
        subscription.window.outstanding += len(messages)  # they were accounted for as handled before
        if is_again:
            self._again(messages, subscription, self.ingested_at)
        else:
            subscription.put_back(messages, self.ingested_at)

    def _again(self, events: list[object], subscription: Subscription, ingested_at: float) -> None:
        """Put events back, each as a batch of its own, so that an event that crashes the stage affects no other."""
        again = [event.redeliver() if isinstance(event, Message) else event for event in events]
        subscription.put_back_singly(again, ingested_at)
        self.counts.redelivered += len(again)

    def leave(self, reason: ExitReason = "normal") -> None:
        """End all subscriptions. Events that were not begun go back to their producers, or are discarded."""
        for subscription in list(self.subscriptions):
            if subscription.ended is None:
                subscription.ended = Marker(MarkerKind.DOWN, reason)
            self._give_back(subscription, subscription.unbegun())
            self._close(subscription)

    def _give_back(self, subscription: Subscription, unbegun: list[object]) -> None:
        left = subscription.producer.on_unsubscribe(subscription, unbegun)
        subscription.delivered += len(left)
        subscription.taken_back -= len(left)
        self.counts.leave(left, "cancelled")
        if self.is_acknowledged:
            acknowledge(left, Outcome.FAILED)

    def _close(self, subscription: Subscription) -> None:
        """Remove a subscription; none of its events waits or is in flight any more."""
        self._received += subscription.delivered
        del self.subscriptions[subscription]
        subscription.is_closed = True
        self._line.leave(subscription)
        self.is_single = len(self.subscriptions) == 1
        if self.is_single:
            self.first = next(iter(self.subscriptions))
            self._line.leave(self.first)
        elif self.subscriptions and self.first is subscription:
            self.first = cast("Subscription", _NOTHING)
