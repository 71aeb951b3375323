"""Calls a stage's dispatcher, and restores the counts when it raises."""

from collections.abc import Callable, Sequence

from headrace.pipeline.dispatchers.dispatcher import Delivery, Dispatcher
from headrace.pipeline.flow.subscription import Subscription, without


class SafeDispatcher:
    """Passes an error of the dispatcher to `failed`, which crashes the stage.

    The error is not raised, because the caller may be in the turn of another stage. From then on the dispatcher
    `is_failing`, and is not called until the next life of its stage. `accounted` are the events that it discarded or
    failed during the last `dispatch`.
    """

    __slots__ = ("_failed", "accounted", "is_failing")

    def __init__(self, accounted: list[object], failed: Callable[[BaseException], None]) -> None:
        self.accounted = accounted
        self.is_failing = False
        self._failed = failed

    def _fail(self, error: BaseException) -> None:
        if not self.is_failing:
            self.is_failing = True
            self._failed(error)

    def asked(self, dispatcher: Dispatcher[Subscription], subscription: Subscription, demand: int) -> None:
        """Report demand, or withdrawn demand, to the dispatcher. Demand on which it raises stays unreported."""
        before = subscription.pending
        try:
            dispatcher.asked(subscription, demand)
        except BaseException as error:  # noqa: BLE001 - any error of a user's dispatcher is a crash of its stage
            subscription.pending = before + min(0, demand)
            subscription.asked += max(0, demand)
            self._fail(error)

    def cancelled(
        self,
        dispatcher: Dispatcher[Subscription],
        subscription: Subscription,
        unbegun: list[object],
        ingested_at: float,
    ) -> list[object]:
        """Remove a subscription from the dispatcher; return the events that go to the head of the buffer."""
        try:
            return dispatcher.cancelled(subscription, unbegun, ingested_at)
        except BaseException as error:  # noqa: BLE001 - any error of a user's dispatcher is a crash of its stage
            self._fail(error)
            return unbegun

    def unmet(self, dispatcher: Dispatcher[Subscription]) -> int:
        """Return the demand that the producer should meet."""
        if self.is_failing:
            return 0
        try:
            return dispatcher.unmet()
        except BaseException as error:  # noqa: BLE001 - any error of a user's dispatcher is a crash of its stage
            self._fail(error)
            return 0

    def dispatch(
        self,
        dispatcher: Dispatcher[Subscription],
        subscriptions: Sequence[Subscription],
        events: list[object],
        ingested_at: float,
    ) -> tuple[Sequence[Delivery[Subscription]], int, list[object] | None]:
        """Return the deliveries, how many events were used up, and, if the dispatcher raised, the lost events.

        Where it raised, all demand is as before. While the dispatcher is failing, no event is used.
        """
        if self.is_failing:
            return (), 0, None
        self.accounted.clear()
        pending = [one.pending for one in subscriptions]
        try:
            deliveries, used = dispatcher.dispatch(events, ingested_at)
        except BaseException as error:  # noqa: BLE001 - any error of a user's dispatcher is a crash of its stage
            for one, before in zip(subscriptions, pending, strict=True):
                one.pending = before
            self._fail(error)
            return (), len(events), without(events, self.accounted)
        else:
            return deliveries, used, None
        finally:
            self.accounted.clear()
