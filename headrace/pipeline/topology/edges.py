"""The edges of a run: all that one stage has ever asked of another, however often it subscribed."""

from collections.abc import Collection, Iterator

from headrace.pipeline.flow.subscription import SubscribeTo, Subscription
from headrace.pipeline.topology.snapshot import EdgeSnapshot


class Edge:
    """The subscriptions of one stage to another. Those that are closed are kept as counts alone."""

    __slots__ = ("_delivered", "_forgone", "_subscriptions", "_taken_back", "consumer", "producer", "to")

    def __init__(self, subscription: Subscription) -> None:
        self.producer = subscription.producer.name
        self.consumer = subscription.consumer.name
        self.to: SubscribeTo = subscription.to
        self._subscriptions = [subscription]
        self._delivered = 0
        self._taken_back = 0
        self._forgone = 0

    @property
    def is_alive(self) -> bool:
        """Whether a subscription of it may still bring events."""
        return self.has_living(None)

    def has_living(self, but: Subscription | None) -> bool:
        """Return whether that is so of another subscription than `but`."""
        return any(one.ended is None and one is not but for one in self._subscriptions)

    @property
    def delivered(self) -> int:
        """How many events were delivered and not taken back."""
        return self._delivered + sum(one.delivered for one in self._subscriptions)

    def add(self, subscription: Subscription) -> None:
        """Take in one more subscription, and let go of those that are closed."""
        self._fold()
        self._subscriptions.append(subscription)
        self.to = subscription.to

    def _fold(self) -> None:
        for one in self._subscriptions:
            if one.is_closed:
                self._delivered += one.delivered
                self._taken_back += one.taken_back
                self._forgone += one.forgone + one.asked + one.pending
        self._subscriptions = [one for one in self._subscriptions if not one.is_closed]

    def snapshot(self) -> EdgeSnapshot:
        """Return all that was ever asked for and delivered, and what is asked for now and still to come."""
        self._fold()
        live = self._subscriptions
        pending = sum(one.asked + one.pending for one in live)
        events = self.delivered + self._taken_back + sum(one.taken_back for one in live)
        return EdgeSnapshot(
            self.producer,
            self.consumer,
            demand_requested=events + pending + self._forgone + sum(one.forgone for one in live),
            events=events,
            demand_pending=sum(one.asked + one.pending for one in live if one.ended is None),
        )


class Edges:
    """All edges of a run, in the order in which they were made, and by either end."""

    def __init__(self) -> None:
        self._edges: dict[tuple[str, str], Edge] = {}
        self._by_producer: dict[str, list[Edge]] = {}
        self._by_consumer: dict[str, list[Edge]] = {}

    def __iter__(self) -> Iterator[Edge]:
        return iter(self._edges.values())

    def add(self, subscription: Subscription) -> bool:
        """Take in a subscription; return whether it makes a new edge."""
        ends = subscription.producer.name, subscription.consumer.name
        edge = self._edges.get(ends)
        if edge is not None:
            edge.add(subscription)
            return False
        edge = self._edges[ends] = Edge(subscription)
        self._by_producer.setdefault(edge.producer, []).append(edge)
        self._by_consumer.setdefault(edge.consumer, []).append(edge)
        return True

    def is_alive(self, producer: str, consumer: str, but: Subscription | None = None) -> bool:
        """Return whether one stage subscribes to another now, by another subscription than `but`."""
        edge = self._edges.get((producer, consumer))
        return edge is not None and edge.has_living(but)

    def from_producer(self, name: str) -> Collection[Edge]:
        """Return the edges on which a stage sends, or has sent."""
        return self._by_producer.get(name, ())

    def to_consumer(self, name: str) -> Collection[Edge]:
        """Return the edges on which a stage receives, or has received."""
        return self._by_consumer.get(name, ())
