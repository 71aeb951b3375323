"""The edges of a run: all that one stage has ever asked of another, however often it subscribed."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from headrace.pipeline.flow.subscription import SubscribeTo, Subscription


@dataclass(frozen=True, slots=True)
class EdgeSnapshot:
    """A subscription: all that was ever asked for, all that was delivered, and what is asked for and still to come."""

    producer: str
    consumer: str
    demand_requested: int
    events: int
    demand_pending: int


class Edge:
    """The subscriptions of one stage to another. Those that are closed are kept as counts alone."""

    __slots__ = ("_delivered", "_demand_withdrawn", "_subscriptions", "_taken_back", "consumer", "producer", "to")

    def __init__(self, subscription: Subscription) -> None:
        self.producer = subscription.producer.name
        self.consumer = subscription.consumer.name
        self.to: SubscribeTo = subscription.to
        self._subscriptions = [subscription]
        self._delivered = 0
        self._taken_back = 0
        self._demand_withdrawn = 0

    @property
    def is_alive(self) -> bool:
        """Whether a subscription of it may still bring events."""
        return self.has_alive(None)

    def has_alive(self, but: Subscription | None) -> bool:
        """Return whether another subscription than `but` may still bring events."""
        return any(one.ended is None and one is not but for one in self._subscriptions)

    @property
    def delivered(self) -> int:
        """How many events were delivered and not taken back."""
        return self._delivered + sum(one.delivered for one in self._subscriptions)

    def add(self, subscription: Subscription) -> None:
        """Add a subscription, and fold closed ones into counts."""
        self._fold()
        self._subscriptions.append(subscription)
        self.to = subscription.to

    def _fold(self) -> None:
        for one in self._subscriptions:
            if one.is_closed:
                self._delivered += one.delivered
                self._taken_back += one.taken_back
                self._demand_withdrawn += one.demand_withdrawn + one.asked + one.pending
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
            demand_requested=events + pending + self._demand_withdrawn + sum(one.demand_withdrawn for one in live),
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
        """Add a subscription; return whether it makes a new edge."""
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
        return edge is not None and edge.has_alive(but)

    def from_producer(self, name: str) -> Collection[Edge]:
        """Return the edges on which a stage sends, or has sent."""
        return self._by_producer.get(name, ())

    def to_consumer(self, name: str) -> Collection[Edge]:
        """Return the edges on which a stage receives, or has received."""
        return self._by_consumer.get(name, ())


class Ends:
    """Counts of what still lives, kept up to date at each end and each new edge.

    A stage is *unconsumed* when each of its consumers has ended or is unconsumed; one without any consumer ever is not.
    """

    def __init__(self, stages: Collection[str], sources: Collection[str], edges: Edges) -> None:
        self._edges = edges
        self._alive = set(stages)
        self._sources = set(sources)
        self._ended: set[str] = set()
        self._readers = {name: len(edges.from_producer(name)) for name in stages}
        self._unconsumed: dict[str, None] = {}

    @property
    def is_all(self) -> bool:
        """Whether every stage has ended."""
        return not self._alive

    @property
    def is_all_sources(self) -> bool:
        """Whether every producer has ended."""
        return not self._sources

    @property
    def unconsumed(self) -> list[str]:
        """The live stages that are unconsumed and have not been ended."""
        return list(self._unconsumed)

    def let_go(self, name: str) -> None:
        """Remove a stage from `unconsumed`: it is about to end."""
        self._unconsumed.pop(name, None)

    def ended(self, name: str) -> None:
        """Called when a stage has ended for good."""
        self._alive.discard(name)
        self._sources.discard(name)
        self._unconsumed.pop(name, None)
        if name not in self._ended:
            self._ended.add(name)
            self._lose([name])

    def _lose(self, removed: list[str]) -> None:
        """Remove ended or unconsumed consumers from their producers; a producer without others is unconsumed, too."""
        while removed:
            for edge in self._edges.to_consumer(removed.pop()):
                self._readers[edge.producer] -= 1
                removed += self._if_unconsumed(edge.producer)

    def _if_unconsumed(self, name: str) -> list[str]:
        """Add a stage without consumers to the unconsumed ones; return it if it is new there."""
        if self._readers[name] or name in self._ended:
            return []
        self._ended.add(name)
        self._unconsumed[name] = None
        return [name]

    def joined(self, producer: str, consumer: str) -> None:
        """Called when a new edge was made."""
        if consumer in self._ended:
            self._lose(self._if_unconsumed(producer))
            return
        back = [producer]
        while back:
            name = back.pop()
            self._readers[name] += 1
            if name in self._ended and name in self._alive:
                self._ended.remove(name)
                self._unconsumed.pop(name, None)
                back += [edge.producer for edge in self._edges.to_consumer(name)]
