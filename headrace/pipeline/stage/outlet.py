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

    __slots__ = ("buffer", "dispatcher", "is_acknowledged", "sent", "sole", "subscriptions")

    def __init__(self, dispatcher: Dispatcher[Subscription], buffer: Buffer[object]) -> None:
        self.dispatcher = dispatcher
        self.buffer = buffer
        self.subscriptions: list[Subscription] = []
        self.sole: Subscription | None = None
        self.sent = 0
        self.is_acknowledged = False

    def subscribe(self, subscription: Subscription) -> None:
        """Take in a new subscription."""
        self.subscriptions.append(subscription)
        self.dispatcher.subscribed(subscription)
        self._choose_sole()

    def leave(self, subscription: Subscription) -> None:
        """Let a subscription go, and its demand with it."""
        self.subscriptions.remove(subscription)
        self.dispatcher.cancelled(subscription)
        self._choose_sole()

    def _choose_sole(self) -> None:
        subscriptions = self.subscriptions
        is_sole = len(subscriptions) == 1 and subscriptions[0].selector is None
        self.sole = subscriptions[0] if is_sole else None

    def collect(self) -> int:
        """Take in what has been asked, serve it from the buffer, and return what subscribers still miss."""
        sole = self.sole
        if sole is None:
            for subscription in self.subscriptions:
                if subscription.asked:
                    demand = subscription.asked
                    subscription.asked = 0
                    self.dispatcher.asked(subscription, demand)
            if self.buffer.size:
                self._serve()
            return self.dispatcher.unmet()
        if sole.asked:
            sole.pending += sole.asked
            sole.asked = 0
        if self.buffer.size:
            self._serve()
        return sole.pending

    def emit(self, events: list[object], born: float) -> list[object]:
        """Deliver what has been asked for and buffer the rest; return what the buffer could not keep."""
        sole = self.sole
        size = len(events)
        if sole is not None and size <= sole.pending and not self.buffer.size:
            if size:
                sole.pending -= size
                self.sent += size
                sole.deliver(events, born)
            return NOTHING
        if not self.buffer.size:
            used = self._dispatch(events, born)
            events = events[used:]
        return self.buffer.put(events, born)

    def put_back(self, events: list[object], born: float) -> None:
        """Put events that were sent, and that nobody began, before all others; serve them at once."""
        self.sent -= len(events)
        self.buffer.put_back(events, born)
        self._serve()

    def mark(self, mark: Mark) -> None:
        """Put a mark behind all that was delivered to each subscriber."""
        for subscription in self.subscriptions:
            subscription.mark(mark)

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
        self.sent += used
        for subscription, portion in deliveries:
            subscription.deliver(portion, born)
        return used
