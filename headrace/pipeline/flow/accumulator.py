"""GenStage's `demand: :accumulate` as a dispatcher wrapper; selectors."""

from collections.abc import Callable

from typing_extensions import override

from headrace.pipeline.demand.buffer import Buffer
from headrace.pipeline.dispatchers.dispatcher import Delivery, Dispatcher, SubscribeOptions
from headrace.pipeline.flow.counts import StageCounts
from headrace.pipeline.flow.safe_dispatcher import SafeDispatcher
from headrace.pipeline.flow.subscription import Subscription
from headrace.pipeline.message import Message, Outcome


class DemandAccumulator(Dispatcher[Subscription]):
    """Holds demand back. The demand stays with the subscriptions, keeps its order, and can still be withdrawn.

    Events wait in the buffer of the stage, within its limits. The accumulator knows for each ask how many events were
    buffered before it.
    """

    __slots__ = ("_asks", "_buffer", "_safe_dispatcher", "can_redeliver", "inner", "queued")

    def __init__(
        self, inner: Dispatcher[Subscription], buffer: Buffer[object], safe_dispatcher: SafeDispatcher
    ) -> None:
        self.inner = inner
        self.can_redeliver = inner.can_redeliver
        self.queued = inner.queued
        self._buffer = buffer
        self._safe_dispatcher = safe_dispatcher
        self._asks: list[tuple[Subscription, int, int]] = []

    @override
    def option_error(self, options: SubscribeOptions) -> str | None:
        return self.inner.option_error(options)

    @override
    def subscribed(self, subscriber: Subscription) -> None:
        self.inner.subscribed(subscriber)

    @override
    def cancelled(self, subscriber: Subscription, unbegun: list[object], ingested_at: float) -> list[object]:
        self._asks = [ask for ask in self._asks if ask[0] is not subscriber]
        back = self.inner.cancelled(subscriber, unbegun, ingested_at)
        self.queued = self.inner.queued
        return back

    @override
    def asked(self, subscriber: Subscription, demand: int) -> None:
        if demand < 0:
            self.inner.asked(subscriber, demand)
            return
        subscriber.asked += demand
        new = demand - sum(known for other, known, _ in self._asks if other is subscriber)
        if new > 0:
            self._asks.append((subscriber, new, self._buffer.size))

    @override
    def unmet(self) -> int:
        return 0

    @override
    def dispatch(self, events: list[object], ingested_at: float) -> tuple[list[Delivery[Subscription]], int]:
        return [], 0

    @override
    def add_marker(self, message: object) -> bool:
        return self.inner.add_marker(message)

    @override
    def drain(self, *, is_unreachable_only: bool = False) -> list[object]:
        unloaded = self.inner.drain(is_unreachable_only=is_unreachable_only)
        self.queued = self.inner.queued
        return unloaded

    def replay(self) -> int:
        """Report the demand to the dispatcher, in the order of the asks.

        Return how many of the waiting events came after unreported demand and meet it. That demand is still reported to
        the producer, as if it had been reported at once (GenStage).
        """
        reported = missed = self._safe_dispatcher.unmet(self.inner)
        waiting = seen = unreported = 0
        for subscriber, known, size in self._asks:
            waiting, seen = waiting + max(0, size - seen), max(size, seen)
            waiting, missed = _met(waiting, missed)
            gain = self._report(subscriber, min(known, subscriber.asked))
            unreported += max(0, gain - waiting)
            waiting, gain = _met(waiting, gain)
            missed += gain
        total = self._buffer.size
        waiting, missed = _met(waiting + max(0, total - seen), missed)
        return max(0, unreported - missed + max(0, reported - total))

    def _report(self, subscriber: Subscription, demand: int) -> int:
        """Report an ask to the dispatcher; return by how much its unmet demand grew."""
        before = self._safe_dispatcher.unmet(self.inner)
        subscriber.asked -= demand
        self._safe_dispatcher.asked(self.inner, subscriber, demand)
        return self._safe_dispatcher.unmet(self.inner) - before


def _met(waiting: int, missed: int) -> tuple[int, int]:
    """Return the events and the demand that are left when waiting events have met demand."""
    met = min(waiting, missed)
    return waiting - met, missed - met


class Selector:
    """A selector of a subscription. It sees the data of messages, and fails only the event on which it raises.

    That event counts as failed at the consumer of the subscription.
    """

    __slots__ = ("_counts", "_is_acknowledged", "selects")

    def __init__(self, selects: Callable[[object], bool], counts: StageCounts, *, is_acknowledged: bool) -> None:
        self.selects = selects
        self._counts = counts
        self._is_acknowledged = is_acknowledged

    def __call__(self, event: object) -> bool:
        """Return whether the event is for this consumer."""
        message = event if self._is_acknowledged and isinstance(event, Message) else None
        try:
            return self.selects(event if message is None else message.data)
        except Exception as error:  # noqa: BLE001 - a function of a user may raise anything; it fails this event alone
            self._counts.fail(error)
            if message is not None:
                message.acknowledgement.add(1)
                message.acknowledgement.end(Outcome.FAILED)
            return False
