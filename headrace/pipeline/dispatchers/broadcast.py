"""Broadcast dispatcher: every event goes to every subscriber, as fast as the slowest asks."""

from typing_extensions import override

from headrace.pipeline.dispatchers.dispatcher import Delivery, LineDispatcher, S


class BroadcastDispatcher(LineDispatcher[S]):
    """Delivers as many events as all subscribers have asked for: the one that asks for the fewest limits all others.

    The `selector` of a subscriber is called with each event. An event that it refuses is not delivered and uses no
    demand. The first subscriber may get the first events alone; a stage that begins with `demand: accumulate` waits for
    the others.
    """

    can_redeliver = False
    supported_options = ("selector",)

    @override
    def unmet(self) -> int:
        return min((subscriber.pending for subscriber in self._line), default=0)

    @override
    def dispatch(self, events: list[object], ingested_at: float) -> tuple[list[Delivery[S]], int]:
        deliveries, used = self._dispatch_missed(events, ingested_at)
        while 0 < used < len(events) and self.unmet() > 0:
            more, size = self._dispatch_missed(events[used:], ingested_at)
            deliveries += more
            used += size
        return deliveries, used

    def _dispatch_missed(self, events: list[object], ingested_at: float) -> tuple[list[Delivery[S]], int]:
        used = min(len(events), self.unmet())
        if not used:
            return [], 0
        deliveries: list[Delivery[S]] = []
        for subscriber in self._line:
            selector = subscriber.selector
            portion = events[:used] if selector is None else [event for event in events[:used] if selector(event)]
            subscriber.pending -= len(portion)
            if portion:
                deliveries.append((subscriber, portion, ingested_at))
        return deliveries, used
