"""Broadcast dispatcher: every event goes to every subscriber, at the pace of the slowest."""

from headrace.pipeline.dispatchers.dispatcher import Delivery, Dispatcher, S, SubscribeOptions, spoken_in_vain


class BroadcastDispatcher(Dispatcher[S]):
    """Delivers what all subscribers have asked for, so the one that asks least sets the pace.

    A subscriber's `selector` sees each event; what it refuses is not delivered to it and costs it no demand. The first
    subscriber alone may take the first events: a stage that begins with `demand: accumulate` waits for the others.
    """

    takes_back = False
    is_plain_with_one = True

    __slots__ = ("_shares",)

    def __init__(self) -> None:
        self._shares: list[S] = []

    def refusal(self, wish: SubscribeOptions) -> str | None:
        """Refuse what means nothing here."""
        return spoken_in_vain(wish, "selector")

    def subscribed(self, share: S) -> None:
        """Take in a new subscriber; nothing is delivered to any until it has asked, too."""
        self._shares.append(share)

    def cancelled(self, share: S, unbegun: list[object], born: float) -> list[object]:
        """Forget a subscriber; it no longer holds the others back."""
        self._shares.remove(share)
        return unbegun

    def asked(self, share: S, demand: int) -> None:
        """Raise what `share` misses."""
        share.pending += demand

    def unmet(self) -> int:
        """Return the minimum of what the subscribers miss: what all of them could take."""
        return min((share.pending for share in self._shares), default=0)

    def dispatch(self, events: list[object], born: float) -> tuple[list[Delivery[S]], int]:
        """Deliver as many of `events` as every subscriber misses, a list of its own to each.

        What a selector refuses costs its subscriber no demand, so more may go out than was missed at first.
        """
        deliveries, used = self._dispatch_missed(events, born)
        while 0 < used < len(events) and self.unmet() > 0:
            more, size = self._dispatch_missed(events[used:], born)
            deliveries += more
            used += size
        return deliveries, used

    def _dispatch_missed(self, events: list[object], born: float) -> tuple[list[Delivery[S]], int]:
        used = min(len(events), self.unmet())
        if not used:
            return [], 0
        deliveries: list[Delivery[S]] = []
        for share in self._shares:
            selector = share.selector
            portion = events[:used] if selector is None else [event for event in events[:used] if selector(event)]
            share.pending -= len(portion)
            if portion:
                deliveries.append((share, portion, born))
        return deliveries, used
