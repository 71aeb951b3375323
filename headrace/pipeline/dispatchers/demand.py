"""Demand dispatcher (GenStage's default): each event goes to the subscriber with the most unmet demand."""

from bisect import bisect_left, bisect_right
from random import Random

from typing_extensions import override

from headrace.pipeline.dispatchers.dispatcher import Delivery, LineDispatcher, S, Subscriber


def _least(subscriber: Subscriber) -> int:
    """Return the sort key of a subscriber: more unmet demand comes first."""
    return -subscriber.pending


class DemandDispatcher(LineDispatcher[S]):
    """Fills the subscriber with the highest demand first, then the next; ties in order of arrival.

    When a subscriber leaves, its demand is removed, so that buffered events reach the next one at once (GenStage's bug
    311). With `shuffle_demands_on_first_dispatch` the first dispatch breaks ties at random, so that producers do not
    all begin with the same consumer; `random` is the generator for that, a new one by default.
    """

    __slots__ = ("_shuffle",)

    def __init__(self, *, shuffle_demands_on_first_dispatch: bool = False, random: Random | None = None) -> None:
        super().__init__()
        self._shuffle: Random | None = None
        if shuffle_demands_on_first_dispatch:
            self._shuffle = Random() if random is None else random  # noqa: S311 - it spreads load, and protects nothing

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
    def dispatch(self, events: list[object], ingested_at: float) -> tuple[list[Delivery[S]], int]:
        if self._shuffle is not None and events:
            self._shuffle.shuffle(self._line)
            self._line.sort(key=lambda subscriber: subscriber.pending, reverse=True)
            self._shuffle = None
        if self._line and self._line[0].pending <= 0:
            self._line.sort(key=_least)  # a subclass may have raised, and demand was restored then
        deliveries: list[Delivery[S]] = []
        used, total = 0, len(events)
        while used < total and self._line and self._line[0].pending > 0:
            subscriber = self._line.pop(0)
            portion = events[used : used + subscriber.pending]
            used += len(portion)
            subscriber.pending -= len(portion)
            deliveries.append((subscriber, portion, ingested_at))
            self._insert(subscriber)
        return deliveries, used

    def _take_out(self, subscriber: S) -> None:
        """Remove a subscriber from the line, where it is among others with the same demand."""
        position = bisect_left(self._line, -subscriber.pending, key=_least)
        if position < len(self._line) and self._line[position] is subscriber:
            del self._line[position]
        else:
            self._line.remove(subscriber)

    def _insert(self, subscriber: S) -> None:
        self._line.insert(bisect_right(self._line, -subscriber.pending, key=_least), subscriber)
