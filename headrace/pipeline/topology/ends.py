"""Which stages have ended, and which are left unread by that; each end costs as much as the stage has edges."""

from collections.abc import Collection

from headrace.pipeline.topology.edges import Edges


class Ends:
    """Counts of what still lives, kept up to date at each end and each new edge.

    A stage is *unread* when each of its consumers has ended or is unread itself; one that never had a consumer is not.
    """

    def __init__(self, stages: Collection[str], sources: Collection[str], edges: Edges) -> None:
        self._edges = edges
        self._living = set(stages)
        self._sources = set(sources)
        self._gone: set[str] = set()
        self._readers = {name: len(edges.from_producer(name)) for name in stages}
        self._unread: dict[str, None] = {}

    @property
    def is_all(self) -> bool:
        """Whether every stage has ended."""
        return not self._living

    @property
    def is_all_sources(self) -> bool:
        """Whether every producer has ended."""
        return not self._sources

    @property
    def unread(self) -> list[str]:
        """The stages that live, are unread, and have not been let go."""
        return list(self._unread)

    def let_go(self, name: str) -> None:
        """Name an unread stage no more: it was told to end."""
        self._unread.pop(name, None)

    def ended(self, name: str) -> None:
        """Called when a stage has ended for good."""
        self._living.discard(name)
        self._sources.discard(name)
        self._unread.pop(name, None)
        if name not in self._gone:
            self._gone.add(name)
            self._lose([name])

    def _lose(self, gone: list[str]) -> None:
        """Take readers that are gone from their producers, which are unread, and so gone, without any."""
        while gone:
            for edge in self._edges.to_consumer(gone.pop()):
                self._readers[edge.producer] -= 1
                gone += self._if_unread(edge.producer)

    def _if_unread(self, name: str) -> list[str]:
        """Note a stage that has no readers left; return it if that is news."""
        if self._readers[name] or name in self._gone:
            return []
        self._gone.add(name)
        self._unread[name] = None
        return [name]

    def joined(self, producer: str, consumer: str) -> None:
        """Called when a new edge was made."""
        if consumer in self._gone:
            self._lose(self._if_unread(producer))
            return
        back = [producer]
        while back:
            name = back.pop()
            self._readers[name] += 1
            if name in self._gone and name in self._living:
                self._gone.remove(name)
                self._unread.pop(name, None)
                back += [edge.producer for edge in self._edges.to_consumer(name)]
