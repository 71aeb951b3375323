"""Demand dispatcher (GenStage's default): each event goes to the one subscriber that misses most."""

from bisect import bisect_left, bisect_right
from random import Random

from typing_extensions import override

from headrace.pipeline.dispatchers.dispatcher import (
    Delivery,
    Dispatcher,
    S,
    SubscribeOptions,
    Subscriber,
    unsupported_option,
)


def _least(subscriber: Subscriber) -> int:
    """Return what the line is sorted by: a subscriber that misses more comes first."""
    return -subscriber.pending


class DemandDispatcher(Dispatcher[S]):
    """Fills the subscriber with the highest demand first, then the next; ties in order of arrival.

    The demand of a subscriber that leaves leaves with it, so buffered events reach the next one at once (GenStage,
    bug 311). With `shuffle_demands_on_first_dispatch` ties are broken by chance on the first dispatch, so that not all
    producers begin with the same consumer; `random` is whose chance, a new one's unless given.
    """

    is_plain_with_one = True

    __slots__ = ("_order", "_shuffle")

    def __init__(self, *, shuffle_demands_on_first_dispatch: bool = False, random: Random | None = None) -> None:
        self._order: list[S] = []
        self._shuffle: Random | None = None
        if shuffle_demands_on_first_dispatch:
            self._shuffle = Random() if random is None else random  # noqa: S311 - it spreads load, and guards nothing

    @override
    def option_error(self, options: SubscribeOptions) -> str | None:
        return unsupported_option(options)

    @override
    def subscribed(self, subscriber: S) -> None:
        self._order.append(subscriber)

    @override
    def cancelled(self, subscriber: S, unbegun: list[object], ingested_at: float) -> list[object]:
        self._take_out(subscriber)
        return unbegun

    @override
    def asked(self, subscriber: S, demand: int) -> None:
        self._take_out(subscriber)
        subscriber.pending += demand
        self._insert(subscriber)

    @override
    def unmet(self) -> int:
        return sum(subscriber.pending for subscriber in self._order)

    @override
    def dispatch(self, events: list[object], ingested_at: float) -> tuple[list[Delivery[S]], int]:
        if self._shuffle is not None and events:
            self._shuffle.shuffle(self._order)
            self._order.sort(key=lambda subscriber: subscriber.pending, reverse=True)
            self._shuffle = None
        if self._order and self._order[0].pending <= 0:
            self._order.sort(key=_least)  # demand may have been set back after a subclass had raised
        deliveries: list[Delivery[S]] = []
        used, total = 0, len(events)
        while used < total and self._order and self._order[0].pending > 0:
            subscriber = self._order.pop(0)
            portion = events[used : used + subscriber.pending]
            used += len(portion)
            subscriber.pending -= len(portion)
            deliveries.append((subscriber, portion, ingested_at))
            self._insert(subscriber)
        return deliveries, used

    def _take_out(self, subscriber: S) -> None:
        """Take a subscriber out of the line, in which it stands among others of the same demand."""
        position = bisect_left(self._order, -subscriber.pending, key=_least)
        if position < len(self._order) and self._order[position] is subscriber:
            del self._order[position]
        else:
            self._order.remove(subscriber)

    def _insert(self, subscriber: S) -> None:
        self._order.insert(bisect_right(self._order, -subscriber.pending, key=_least), subscriber)
