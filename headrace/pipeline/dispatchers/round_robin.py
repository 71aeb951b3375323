"""Round-robin dispatcher: events are dealt one by one, in turn, to subscribers with demand."""

from typing_extensions import override

from headrace.pipeline.dispatchers.dispatcher import Delivery, LineDispatcher, S


class RoundRobinDispatcher(LineDispatcher[S]):
    """Each event goes to the next subscriber in the line that has demand. The next dispatch continues there.

    No subscriber with demand is skipped, whatever the others ask for; one without demand loses its turn. While all ask
    for events, their numbers of events differ by at most one.
    """

    @override
    def dispatch(self, events: list[object], ingested_at: float) -> tuple[list[Delivery[S]], int]:
        active = [subscriber for subscriber in self._line if subscriber.pending > 0]
        portions: dict[int, Delivery[S]] = {id(subscriber): (subscriber, [], ingested_at) for subscriber in active}
        used, total = 0, len(events)
        last: S | None = None
        while active and used < total:
            active, rounds = _next_rounds(active, total - used)
            width = len(active)
            end = used + rounds * width
            for position, subscriber in enumerate(active):
                portions[id(subscriber)][1].extend(events[used + position : end : width])
                subscriber.pending -= rounds
            used, last = end, active[-1]
            active = [subscriber for subscriber in active if subscriber.pending > 0]
        if last is not None:
            turn = self._line.index(last) + 1
            self._line = self._line[turn:] + self._line[:turn]
        return [delivery for delivery in portions.values() if delivery[1]], used


def _next_rounds(active: list[S], most: int) -> tuple[list[S], int]:
    """Return the subscribers that get the next events, and how many each gets; `most` events are left.

    These are all active ones in whole rounds, or the first ones in the rest of a round.
    """
    rounds = min(most // len(active), *(subscriber.pending for subscriber in active))
    return (active, rounds) if rounds else (active[:most], 1)
