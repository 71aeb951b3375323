"""Asks by hand for a stage that holds its producers back: never for more than it may have, whoever they are."""

from headrace.pipeline.flow.subscription_handle import Side, SubscriptionHandle


class Asking:
    """The subscriptions of a stage to its producers; what may be asked for is shared out in turn."""

    def __init__(self) -> None:
        self._subscriptions: list[SubscriptionHandle] = []

    def subscribed(self, side: Side, subscription: SubscriptionHandle) -> str | None:
        """Return what `handle_subscribe` does: producers are asked by hand."""
        if side != "producer":
            return None
        self._subscriptions.append(subscription)
        return "manual"

    def coming(self) -> int:
        """Return how many events were asked for and are not handled yet."""
        self._subscriptions = [one for one in self._subscriptions if one.is_alive or one.coming]
        return sum(one.coming for one in self._subscriptions)

    def ask(self, count: int) -> int:
        """Ask for up to `count` more, within each subscription's `max_demand`; return how many that were."""
        left = count
        living = [one for one in self._subscriptions if one.is_alive]
        for at, subscription in enumerate(living):
            share = -(-left // (len(living) - at))
            demand = min(share, subscription.to.max_demand - subscription.coming)
            if demand > 0:
                subscription.ask(demand)
                left -= demand
        if self._subscriptions:
            self._subscriptions.append(self._subscriptions.pop(0))
        return count - left
