"""A producer's side of all its subscriptions: asks come in, the buffer is served first, events go out."""

from typing import Final

from headrace.pipeline.acknowledgement.acknowledgement import Outcome
from headrace.pipeline.acknowledgement.message import claim, settle
from headrace.pipeline.demand.buffer import Buffer
from headrace.pipeline.dispatchers.dispatcher import Dispatcher
from headrace.pipeline.stage.subscription import Mark, Subscription

NOTHING: Final[list[object]] = []
"""No event: what `emit` returns when all went well. Nobody changes it."""


class Outlet:
    """What a producer or producer-consumer has emitted and where it went.

    With one plain subscriber there is nothing to choose, and the dispatcher is not asked: `sole` is that subscriber.
    """

    __slots__ = (
        "_sent",
        "_sole_before",
        "buffer",
        "dispatcher",
        "is_acknowledged",
        "is_closed",
        "sole",
        "subscriptions",
    )

    def __init__(self, dispatcher: Dispatcher[Subscription], buffer: Buffer[object]) -> None:
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
        if self.is_closed:
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

    def emit(self, events: list[object], born: float) -> list[object]:
        """Deliver what has been asked for by now and buffer the rest; return what the buffer could not keep."""
        sole = self.sole
        size = len(events)
        if sole is not None and size <= sole.pending and not self.buffer.size:
            if size:
                sole.send(events, born, size)
            return NOTHING
        if not self.buffer.size:
            used = self._dispatch(events, born)
            if used == size:
                return NOTHING
            events = events[used:]
        self._hear()
        if not self.buffer.size:
            events = events[self._dispatch(events, born) :]
        return self.buffer.put(events, born)

    def close(self, mark: Mark) -> None:
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
