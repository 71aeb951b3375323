"""Weighted dispatcher: subscribers take turns, and the weight of a subscriber is the number of events in its turn."""

from typing_extensions import override

from headrace.pipeline.dispatchers.dispatcher import Delivery, LineDispatcher, S


class WeightedDispatcher(LineDispatcher[S]):
    """In turn, each subscriber gets `weight` events, or fewer where it has less demand.

    A turn may continue with the events of the next dispatch. No subscriber with demand is skipped; one without demand
    loses its turn, without compensation. While all ask for at least their weights, they get events in proportion to
    them.
    """

    supported_options = ("weight",)

    __slots__ = ("_left",)

    def __init__(self) -> None:
        super().__init__()
        self._left = 0
        """The events that are left in the turn of the first subscriber."""

    @override
    def subscribed(self, subscriber: S) -> None:
        super().subscribed(subscriber)
        if len(self._line) == 1:
            self._left = subscriber.weight

    @override
    def cancelled(self, subscriber: S, unbegun: list[object], ingested_at: float) -> list[object]:
        is_its_turn = self._line[0] is subscriber
        super().cancelled(subscriber, unbegun, ingested_at)
        if is_its_turn and self._line:
            self._left = self._line[0].weight
        return unbegun

    @override
    def dispatch(self, events: list[object], ingested_at: float) -> tuple[list[Delivery[S]], int]:
        portions: dict[int, Delivery[S]] = {}
        used, total = 0, min(len(events), self.unmet())
        while used < total:
            for subscriber, count in self._rounds(total - used) or self._turn(total - used):
                if count:
                    delivery = portions.setdefault(id(subscriber), (subscriber, [], ingested_at))
                    delivery[1].extend(events[used : used + count])
                    subscriber.pending -= count
                    used += count
        return list(portions.values()), used

    def _rounds(self, most: int) -> list[tuple[S, int]]:
        """Return how many events each subscriber gets in all whole rounds that fit; none while a turn is unfinished."""
        active = [subscriber for subscriber in self._line if subscriber.pending > 0]
        if self._left != self._line[0].weight:
            return []
        rounds = min(
            most // sum(subscriber.weight for subscriber in active),
            *(subscriber.pending // subscriber.weight for subscriber in active),
        )
        if not rounds:
            return []
        position = self._line.index(active[-1]) + 1
        self._line = self._line[position:] + self._line[:position]
        self._left = self._line[0].weight
        return [(subscriber, rounds * subscriber.weight) for subscriber in active]

    def _turn(self, most: int) -> list[tuple[S, int]]:
        """Return the events of the first subscriber in its turn, and move on when the turn is over."""
        subscriber = self._line[0]
        count = min(self._left, subscriber.pending, most)
        self._left -= count
        if not self._left or count == subscriber.pending:
            self._line.append(self._line.pop(0))
            self._left = self._line[0].weight
        return [(subscriber, count)]
