"""A producer's side of all its subscriptions: asks come in, the buffer is served first, events go out."""

from headrace.pipeline.acknowledgement.acknowledgement import Outcome
from headrace.pipeline.acknowledgement.message import claim, settle
from headrace.pipeline.demand.buffer import Buffer
from headrace.pipeline.dispatchers.dispatcher import Dispatcher
from headrace.pipeline.process.process import ExitReason
from headrace.pipeline.stage.counts import StageCounts
from headrace.pipeline.stage.subscription import Mark, MarkKind, Subscription


class Outlet:
    """What a producer or producer-consumer has emitted and where it went.

    With one plain subscriber there is nothing to choose, and the dispatcher is not asked: `sole` is that subscriber.
    """

    __slots__ = (
        "_sent",
        "_sole_before",
        "buffer",
        "counts",
        "dispatcher",
        "is_acknowledged",
        "is_closed",
        "sole",
        "subscriptions",
    )

    def __init__(self, dispatcher: Dispatcher[Subscription], buffer: Buffer[object], counts: StageCounts) -> None:
        self.counts = counts
        self.dispatcher = dispatcher
        self.buffer = buffer
        self.subscriptions: list[Subscription] = []
        self.sole: Subscription | None = None
        self._sent = 0
        self._sole_before = 0
        self.is_acknowledged = False
        self.is_closed = False

    def subscribe(self, subscription: Subscription) -> None:
        """Take in a new subscription."""
        self.subscriptions.append(subscription)
        self.dispatcher.subscribed(subscription)
        self._choose_sole()

    def leave(self, subscription: Subscription, unbegun: list[object], born: float) -> list[object]:
        """Let a subscription go, and its demand with it; return of `unbegun` what cannot go to others.

        The rest is as if it had never been sent: it goes before all that is buffered, and is served at once.
        Once closed, nothing can go to others.
        """
        if self.is_closed or subscription not in self.subscriptions:
            return unbegun
        is_sole = subscription is self.sole
        self.subscriptions.remove(subscription)
        self.dispatcher.cancelled(subscription)
        self._choose_sole()
        if not self.dispatcher.takes_back:
            if is_sole:
                self._sent += len(unbegun)
            return unbegun
        if not is_sole:
            self._sent -= len(unbegun)
        self.buffer.put_back(unbegun, born)
        self._serve()
        return []

    def let_go(self, subscription: Subscription, mark: Mark) -> None:
        """Send a subscriber nothing more; the mark tells it so, behind all that was delivered."""
        self.subscriptions.remove(subscription)
        self.dispatcher.cancelled(subscription)
        self._choose_sole()
        subscription.forgo()
        subscription.mark(mark)
        self._serve()

    def askers(self) -> dict[str, int]:
        """Return who misses events, and how many."""
        missing = ((subscription, subscription.asked + subscription.pending) for subscription in self.subscriptions)
        return {subscription.consumer.name: demand for subscription, demand in missing if demand}

    def sent(self) -> int:
        """Return how many events have been sent, each counted once, however many subscribers got it."""
        return self._sent if self.sole is None else self._sent + self.sole.delivered - self._sole_before

    def _choose_sole(self) -> None:
        self._sent = self.sent()
        subscriptions = self.subscriptions
        is_sole = len(subscriptions) == 1 and subscriptions[0].selector is None
        for subscription in subscriptions:
            subscription.is_sole = is_sole
        self.sole = subscriptions[0] if is_sole else None
        if self.sole is not None:
            self.sole.pending += self.sole.asked
            self.sole.asked = 0
        self._sole_before = 0 if self.sole is None else self.sole.delivered

    def collect(self) -> int:
        """Take in what has been asked, serve it from the buffer, and return what subscribers still miss."""
        self._hear()
        return self.dispatcher.unmet()

    def _hear(self) -> None:
        for subscription in self.subscriptions:
            if subscription.asked:
                demand = subscription.asked
                subscription.asked = 0
                self.dispatcher.asked(subscription, demand)
        if self.buffer.size:
            self._serve()

    def emit(self, events: list[object], born: float) -> None:
        """Deliver what has been asked for by now and buffer the rest; what the buffer cannot keep is discarded."""
        sole = self.sole
        size = len(events)
        if sole is not None and size <= sole.pending and not self.buffer.size:
            if size:
                sole.send(events, born, size)
            return
        if not self.buffer.size:
            used = self._dispatch(events, born)
            if used == size:
                return
            events = events[used:]
        self._hear()
        if not self.buffer.size:
            events = events[self._dispatch(events, born) :]
        dropped = self.buffer.put(events, born)
        if dropped:
            self.discard(dropped, "overflow")

    def discard(self, events: list[object], reason: str) -> None:
        """Count events that go no further, and tell their sources where they are messages."""
        self.counts.discard(len(events), reason)
        if self.is_acknowledged:
            settle(events, Outcome.FAILED)

    def complete(self, *, is_draining: bool) -> bool:
        """Serve the buffer, and tell the subscribers of the end once it is empty; return whether it is.

        In a drain, what nobody is left to take is discarded.
        """
        self.collect()
        if is_draining and not self.subscriptions:
            self._discard_buffer("cancelled")
        if self.buffer.size:
            return False
        self._close(Mark(MarkKind.COMPLETED))
        return True

    def go_down(self, reason: ExitReason) -> None:
        """Discard what is buffered, and tell the subscribers that the stage ended with `reason`."""
        self._discard_buffer("crash" if isinstance(reason, BaseException) else "cancelled")
        self._close(Mark(MarkKind.DOWN, reason))

    def _discard_buffer(self, reason: str) -> None:
        left, _ = self.buffer.take(self.buffer.size)
        self.discard(left, reason)

    def _close(self, mark: Mark) -> None:
        """Put a mark behind all that was delivered to each subscriber, and let all of them go: no more is sent."""
        self._sent = self.sent()
        self.sole = None
        self.is_closed = True
        for subscription in self.subscriptions:
            subscription.mark(mark)
        self.subscriptions.clear()

    def _serve(self) -> None:
        while self.buffer.size:
            unmet = self.dispatcher.unmet()
            if unmet <= 0:
                return
            events, born = self.buffer.take(unmet)
            used = self._dispatch(events, born)
            if used < len(events):
                self.buffer.put_back(events[used:], born)

    def _dispatch(self, events: list[object], born: float) -> int:
        deliveries, used = self.dispatcher.dispatch(events)
        if self.is_acknowledged:
            for _, portion in deliveries:
                claim(portion)
            settle(events[:used], Outcome.DONE)
        if self.sole is None:
            self._sent += used
        for subscription, portion in deliveries:
            subscription.deliver(portion, born)
        return used
