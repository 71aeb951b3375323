"""`SubscriptionHandle`, by which users ask, change and cancel; `ManualDemand`."""

from dataclasses import dataclass
from typing import Literal, Protocol

from typing_extensions import override

from headrace.errors import SubscriptionError
from headrace.otp.process.process import ExitReason
from headrace.otp.process.state import check_reason
from headrace.otp.scheduler import Scheduler
from headrace.pipeline.demand.window import ManualWindow, checked
from headrace.pipeline.flow.subscription import SubscribeTo, Subscription

OtherSide = Literal["producer", "consumer"]
"""Which side of a subscription the other stage is (the first argument of `handle_subscribe`)."""

CancelKind = Literal["cancel", "completed", "down"]
"""How a subscription ended: one side cancelled it; the producer completed; the other side's process ended."""


class SubscriptionOwner(Protocol):
    """The process on whose side a handle is."""

    name: str
    scheduler: Scheduler

    def end_subscription(self, subscription: Subscription, reason: ExitReason) -> None:
        """Cancel the subscription from this side."""

    def change_demand(self, subscription: Subscription, max_demand: int, min_demand: int | None) -> None:
        """Change the bounds of demand."""

    def resubscribe(self, replaced: Subscription, to: SubscribeTo | str) -> "SubscriptionHandle":
        """Subscribe to another stage, or anew to the same one, and end the subscription that is replaced."""


@dataclass(frozen=True, slots=True)
class SubscriptionHandle:
    """One subscription, seen from one side; equal handles are of the same subscription.

    The methods belong to the thread of the loop, and raise `ForeignThread` or `ForeignLoop` elsewhere.
    """

    _subscription: Subscription
    _holder: SubscriptionOwner

    @override
    def __repr__(self) -> str:
        return f"<subscription of {self.consumer!r} to {self.producer!r}>"

    @property
    def producer(self) -> str:
        """The name of the stage that sends."""
        return self._subscription.producer.name

    @property
    def consumer(self) -> str:
        """The name of the stage that receives."""
        return self._subscription.consumer.name

    @property
    def to(self) -> SubscribeTo:
        """The `SubscribeTo` with which the subscription was made."""
        return self._subscription.to

    @property
    def is_alive(self) -> bool:
        """Whether events may still come: neither side has ended the subscription."""
        return self._subscription.ended is None

    @property
    def is_manual(self) -> bool:
        """Whether the consumer asks by hand."""
        return isinstance(self._subscription.window, ManualWindow)

    @property
    def outstanding(self) -> int:
        """Events that were asked for and are not handled yet, at most `max_demand`."""
        return self._subscription.window.outstanding

    def ask(self, demand: int) -> None:
        """Ask the producer for `demand` more events; 0 does nothing.

        Only for a consumer whose `handle_subscribe` returns "manual". Demand that it asks for before it returns is sent
        when it has returned. Raises `SubscriptionError` in automatic mode and on the producer's side, and `DemandError`
        below 0 or when more than `max_demand` would be outstanding. On a subscription that has ended it does nothing.
        """
        subscription = self._subscription
        self._check_loop("ask")
        if subscription.ended is not None:
            return
        self._check_consumer("ask")
        window = subscription.window
        if subscription.deferred_demand is not None:
            subscription.deferred_demand += checked(demand)
            return
        if subscription.kept is not None:
            subscription.kept += window.check_room(demand, window.outstanding + subscription.kept)
            return
        if not isinstance(window, ManualWindow):
            raise SubscriptionError(
                self.consumer, self.producer, "asks by itself", 'return "manual" from handle_subscribe to ask by hand'
            )
        window.ask(demand)
        if demand:
            subscription.ask(demand)

    def change(self, max_demand: int, min_demand: int | None = None) -> None:
        """Change `max_demand` and `min_demand`, which is half of `max_demand` when None.

        More is asked for at once where the new bounds allow it; unsent demand beyond them is withdrawn.
        Raises `DemandError` for bounds that do not fit, `SubscriptionError` on the producer's side. On a subscription
        that has ended it does nothing.
        """
        self._check_loop("change")
        self._check_consumer("change")
        self._holder.change_demand(self._subscription, max_demand, min_demand)

    def cancel(self, reason: ExitReason = "normal") -> None:
        """End the subscription. A second call does nothing.

        On the consumer's side, unbegun events go back to the producer where another consumer may get them, and the
        consumer lives on in every cancel mode. On the producer's side, delivered events are handled first, and then the
        cancel mode decides, as at the end of a producer with `reason`. `handle_cancel` is called on both sides. Raises
        `BadOption` for an invalid reason.
        """
        check_reason(reason)
        self._check_loop("cancel")
        if self._subscription.ended is None:
            self._holder.end_subscription(self._subscription, reason)

    def resubscribe(self, to: SubscribeTo | str | None = None) -> "SubscriptionHandle":
        """Cancel, and subscribe again to `to`, in one step; with the same options when None. Return the new handle.

        Raises the errors of `subscribe`; the old subscription continues then.
        """
        self._check_loop("resubscribe")
        self._check_consumer("resubscribe")
        return self._holder.resubscribe(self._subscription, self.to if to is None else to)

    def _check_loop(self, name: str) -> None:
        self._holder.scheduler.check_loop(f"{name} of a subscription of", self._holder.name)

    def _check_consumer(self, name: str) -> None:
        if self._holder.name != self.consumer:
            raise SubscriptionError(
                self.consumer, self.producer, "belongs to its consumer", f"{name} is for the side that receives"
            )


class ManualDemand:
    """The subscriptions of a stage that asks by hand. Its demand is divided among them in turn."""

    def __init__(self) -> None:
        self._subscriptions: list[SubscriptionHandle] = []

    def subscribed(self, side: OtherSide, subscription: SubscriptionHandle) -> str | None:
        """Add a subscription to a producer; return the value for `handle_subscribe`."""
        if side != "producer":
            return None
        self._subscriptions.append(subscription)
        return "manual"

    def outstanding(self) -> int:
        """Return how many events were asked for and are not handled yet."""
        self._subscriptions = [one for one in self._subscriptions if one.is_alive or one.outstanding]
        return sum(one.outstanding for one in self._subscriptions)

    def ask(self, count: int) -> int:
        """Ask for up to `count` more events, within the `max_demand` of each subscription; return how many."""
        left = count
        alive = [one for one in self._subscriptions if one.is_alive]
        for at, subscription in enumerate(alive):
            part = -(-left // (len(alive) - at))
            demand = min(part, subscription.to.max_demand - subscription.outstanding)
            if demand > 0:
                subscription.ask(demand)
                left -= demand
        if self._subscriptions:
            self._subscriptions.append(self._subscriptions.pop(0))
        return count - left
