"""A consumer's side of all its subscriptions: batches in turn, what is in hand, and asking again."""

from collections import deque

from headrace.pipeline.acknowledgement.acknowledgement import Outcome
from headrace.pipeline.acknowledgement.message import Message, settle
from headrace.pipeline.process.process import ExitReason
from headrace.pipeline.stage.counts import StageCounts
from headrace.pipeline.stage.subscription import CancelMode, Mark, MarkKind, Subscription


def exit_reason(cancel: CancelMode, reason: ExitReason) -> ExitReason | None:
    """Return the reason with which a consumer ends when a producer of it ended with `reason`; None when it lives on.

    >>> exit_reason("permanent", "normal"), exit_reason("transient", "normal"), exit_reason("temporary", KeyError("k"))
    ('normal', None, None)
    """
    if cancel == "temporary" or (cancel == "transient" and isinstance(reason, str)):
        return None
    return reason


class Inlet:
    """The subscriptions of one consumer, served in turn.

    What is taken, from `source`, is *in hand* until it is settled (handled), dropped or put back; so a crash knows what it hit.
    """

    __slots__ = ("counts", "hand", "is_acknowledged", "is_by_delivery", "received", "source", "subscriptions", "waiting")

    def __init__(self, counts: StageCounts, *, is_by_delivery: bool) -> None:
        """With `is_by_delivery` a subscription keeps its turn until a whole delivery is handled (a producer-consumer's rule)."""
        self.counts = counts
        self.is_acknowledged = False
        self.subscriptions: list[Subscription] = []
        self.waiting: deque[Subscription] = deque()
        self.hand: list[object] | None = None
        self.source: Subscription
        self.received = 0
        self.is_by_delivery = is_by_delivery

    def open(self) -> None:
        """Ask for the first events on every subscription that has not been asked on."""
        for subscription in self.subscriptions:
            demand = subscription.window.open()
            if demand:
                subscription.ask(demand)

    def take(self) -> "list[object] | Mark | None":
        """Return the next batch, now in hand; or a mark, which is removed; or None when nothing waits."""
        if not self.waiting:
            return None
        subscription = self.waiting[0]
        self.source = subscription
        if isinstance(subscription.queue[0], Mark):
            mark = subscription.queue.popleft()
            self.next_turn(subscription)
            return mark if isinstance(mark, Mark) else None
        batch = subscription.take()
        self.hand = batch
        return batch

    def is_at_delivery(self) -> bool:
        """Tell whether the next thing to take is the beginning of a delivery, rather than the rest of one, or a mark."""
        subscription = self.waiting[0]
        return not subscription.offset and not isinstance(subscription.queue[0], Mark)

    def settle(self, subscription: Subscription, size: int) -> bool:
        """Account for the batch of `size` events in hand: it was handled. Return whether more waits."""
        self.hand = None
        self.received += size
        demand = subscription.window.handled(size)
        if demand:
            subscription.asked += demand
            subscription.producer.asked()
        return self.next_turn(subscription)

    def next_turn(self, subscription: Subscription) -> bool:
        """Let the next subscription have its turn; return whether anything waits."""
        waiting = self.waiting
        if not subscription.queue:
            subscription.is_waiting = False
            waiting.popleft()
            return bool(waiting)
        if len(waiting) > 1 and not (self.is_by_delivery and subscription.offset):
            waiting.rotate(-1)
        return True

    def end(self, mark: Mark) -> ExitReason | None:
        """Close the subscription whose end was reached; return the reason with which the consumer must end, if it must."""
        subscription = self.source
        subscription.is_open = False
        self.subscriptions.remove(subscription)
        if mark.kind is MarkKind.COMPLETED:
            return None
        return exit_reason(subscription.cancel, mark.reason)

    def abandon(self, *, is_crash: bool) -> None:
        """Give up the batch in hand: messages go back to be delivered again, plain events are discarded and asked for anew."""
        batch = self.hand
        if batch is None:
            return
        subscription = self.source
        self.hand = None
        if self.is_acknowledged:
            again = [event.again() if isinstance(event, Message) else event for event in batch]
            subscription.put_back(again)
            self.counts.redelivered += len(again)
            self.subscription_waits(subscription)
            return
        self.counts.discard(len(batch), "crash" if is_crash else "cancelled")
        self.settle(subscription, len(batch))

    def subscription_waits(self, subscription: Subscription) -> None:
        """See to it that a subscription whose queue is not empty is served."""
        if not subscription.is_waiting:
            subscription.is_waiting = True
            self.waiting.appendleft(subscription)

    def leave(self) -> None:
        """End all subscriptions: what was not begun goes back to its producer, or is discarded."""
        for subscription in list(self.subscriptions):
            subscription.is_open = False
            left = subscription.producer.left(subscription, subscription.unbegun())
            self.counts.discard(len(left), "cancelled")
            if self.is_acknowledged:
                settle(left, Outcome.FAILED)
        self.subscriptions.clear()
        self.waiting.clear()
