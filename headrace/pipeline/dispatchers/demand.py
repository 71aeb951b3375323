"""Demand dispatcher (GenStage's default): each event goes to the one subscriber that misses most."""

from typing import Final, Generic

from headrace.pipeline.dispatchers.dispatcher import Delivery, S


class DemandDispatcher(Generic[S]):
    """Fills the subscriber with the highest demand first, then the next; ties in order of arrival.

    The demand of a subscriber that leaves leaves with it, so what is buffered reaches the next one at once (GenStage,
    bug 311).
    """

    takes_back: Final = True

    __slots__ = ("_order",)

    def __init__(self) -> None:
        self._order: list[S] = []

    def subscribed(self, share: S) -> None:
        """Take in a new subscriber, last in line."""
        self._order.append(share)

    def cancelled(self, share: S) -> None:
        """Forget a subscriber and its demand."""
        self._order.remove(share)

    def asked(self, share: S, demand: int) -> None:
        """Raise the demand of `share` and move it up in line."""
        self._order.remove(share)
        share.pending += demand
        self._insert(share)

    def unmet(self) -> int:
        """Return the sum of what all subscribers miss."""
        return sum(share.pending for share in self._order)

    def dispatch(self, events: list[object]) -> tuple[list[Delivery[S]], int]:
        """Deliver as many of `events` as all subscribers together miss."""
        deliveries: list[Delivery[S]] = []
        used, total = 0, len(events)
        while used < total and self._order and self._order[0].pending > 0:
            share = self._order.pop(0)
            portion = events[used : used + share.pending]
            used += len(portion)
            share.pending -= len(portion)
            deliveries.append((share, portion))
            self._insert(share)
        return deliveries, used

    def _insert(self, share: S) -> None:
        for position, other in enumerate(self._order):
            if share.pending > other.pending:
                self._order.insert(position, share)
                return
        self._order.append(share)
