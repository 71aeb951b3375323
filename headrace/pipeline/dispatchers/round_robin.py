"""Round-robin dispatcher: events are dealt one by one, in turn, to those who still miss some."""

from headrace.pipeline.dispatchers.dispatcher import Delivery, Dispatcher, S, SubscribeOptions, spoken_in_vain


class RoundRobinDispatcher(Dispatcher[S]):
    """The next event goes to the next subscriber in line that misses one; the line goes on where it stopped.

    Nobody who misses events is passed over, however much others ask for; who misses none loses its turn. While all keep
    asking, all get the same number of events, give or take one.
    """

    is_plain_with_one = True

    __slots__ = ("_line",)

    def __init__(self) -> None:
        self._line: list[S] = []

    def refusal(self, wish: SubscribeOptions) -> str | None:
        """Refuse what means nothing here."""
        return spoken_in_vain(wish)

    def subscribed(self, share: S) -> None:
        """Take in a new subscriber, last in line."""
        self._line.append(share)

    def cancelled(self, share: S, unbegun: list[object], born: float) -> list[object]:
        """Forget a subscriber and its demand; what it had not begun goes to others."""
        self._line.remove(share)
        return unbegun

    def asked(self, share: S, demand: int) -> None:
        """Raise what `share` misses; its place in line stays."""
        share.pending += demand

    def unmet(self) -> int:
        """Return the sum of what all subscribers miss."""
        return sum(share.pending for share in self._line)

    def dispatch(self, events: list[object], born: float) -> tuple[list[Delivery[S]], int]:
        """Deal as many of `events` as all subscribers together miss; whole rounds at once, one slice for each."""
        active = [share for share in self._line if share.pending > 0]
        portions: dict[int, Delivery[S]] = {id(share): (share, [], born) for share in active}
        used, total = 0, len(events)
        last: S | None = None
        while active and used < total:
            width = len(active)
            rounds = min((total - used) // width, *(share.pending for share in active))
            if not rounds:
                active, rounds = active[: total - used], 1
                width = len(active)
            end = used + rounds * width
            for place, share in enumerate(active):
                portions[id(share)][1].extend(events[used + place : end : width])
                share.pending -= rounds
            used, last = end, active[-1]
            active = [share for share in active if share.pending > 0]
        if last is not None:
            turn = self._line.index(last) + 1
            self._line = self._line[turn:] + self._line[:turn]
        return [delivery for delivery in portions.values() if delivery[1]], used
