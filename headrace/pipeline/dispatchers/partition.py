"""Partition dispatcher: each event goes to the subscribers of its partition. `stable_hash`, `Output`."""

import zlib
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Generic

from typing_extensions import override

from headrace.errors import DispatcherError, UnknownOutput, UnknownPartition
from headrace.pipeline.demand.buffer import Buffer
from headrace.pipeline.dispatchers.demand import DemandDispatcher
from headrace.pipeline.dispatchers.dispatcher import (
    UNROUTED,
    Delivery,
    DispatchContext,
    Dispatcher,
    S,
    SubscribeOptions,
    unsupported_option,
)
from headrace.values import ordered

_BITS: Final = 0xFFFFFFFF


def stable_hash(key: object) -> int:
    """Return a whole number, 0 or more, that depends only on the key.

    Unlike Python's own hash it is the same in every OS process, so that an event keeps its partition after a restart.
    The hash of a whole number is the number itself (below 0, its 32 bits). Of text it is the CRC-32 of its UTF-8 bytes,
    of bytes their CRC-32, and of other keys that of their `repr`, which must therefore be the same for equal keys. The
    order of the keys of a dict does not matter.

    >>> stable_hash(7), stable_hash("eu"), stable_hash(b"eu"), stable_hash(("eu", 7))
    (7, 2033977518, 2033977518, 3708763456)
    """
    if isinstance(key, int):
        return int(key) if key >= 0 else int(key) & _BITS
    if isinstance(key, str):
        return zlib.crc32(key.encode("utf-8", "surrogatepass"))
    if isinstance(key, bytes | bytearray | memoryview):
        return zlib.crc32(key)
    return zlib.crc32(repr(ordered(key)).encode("utf-8", "surrogatepass"))


class _Waiting:
    """A message that waits until a number of queues have delivered the events before it."""

    __slots__ = ("left", "message")

    def __init__(self, message: object, left: int) -> None:
        self.message = message
        self.left = left


class _Partition(Generic[S]):
    """The subscribers of one partition, and the events that wait for them. There is no demand while events wait."""

    __slots__ = ("has_been_named", "line", "name", "queue", "subscribers")

    def __init__(self, name: Hashable) -> None:
        self.name = name
        self.line: DemandDispatcher[S] = DemandDispatcher()
        self.queue: Buffer[object] = Buffer(None)
        self.subscribers = 0
        self.has_been_named = False


class PartitionDispatcher(Dispatcher[S]):
    """Events of one partition go only to its subscribers, in order: each to the one with the most unmet demand.

    `partitions` is the number of partitions (named 0, 1, ...), or their names. `hash` returns the partition of an
    event, or None for an event that no subscriber gets, which is `discarded{reason="unrouted"}`. An event on which it
    raises, or for which it returns an unknown partition, fails alone. It may be called more than once with an event. By
    default it is `stable_hash` of the whole event, modulo the number of partitions; named ones need their own `hash`.

    A partition holds at most `max_queue` events that its subscribers have not asked for. The stage is asked for no more
    events than fit into the fullest partition: a slow partition slows the others when it is full, and no partition
    grows without limit. A partition without a subscriber is logged. Waiting events stay for the next subscriber when
    one leaves.
    """

    called: ClassVar[str] = "partition"
    """The word for a partition in the log."""

    __slots__ = ("_drops_unreachable", "_hash", "_max_queue", "_missing", "_partitions", "queued")

    def __init__(
        self,
        partitions: int | Iterable[Hashable] = 0,
        *,
        hash: Callable[[object], Hashable | None] | None = None,  # noqa: A002 - GenStage's word
        max_queue: int = 1000,
    ) -> None:
        """Raises `DispatcherError` for invalid arguments."""
        names = _names(partitions)
        _check(names, max_queue)
        if hash is not None and not callable(hash):
            raise DispatcherError("partition", f"has {hash!r} for a hash: give a function that returns a partition")
        if hash is None and names != tuple(range(len(names))):
            raise DispatcherError(
                "partition", "has names for its partitions: give hash, which returns one for an event"
            )
        count = len(names)
        self._hash = (lambda event: stable_hash(event) % count) if hash is None else hash
        self._max_queue = max_queue
        self._partitions: dict[Hashable, _Partition[S]] = {name: _Partition(name) for name in names}
        self._missing = 0
        self._drops_unreachable = False
        self.queued = 0

    @override
    def begin(self, context: DispatchContext) -> None:
        super().begin(context)
        context.discard([], UNROUTED)

    @override
    def option_error(self, options: SubscribeOptions) -> str | None:
        names = ", ".join(map(repr, self._partitions))
        if options.partition is None:
            return f"it must say which partition is its own: give partition, one of {names}"
        if options.partition not in self._partitions:
            return f"there is no partition {options.partition!r}: give one of {names}"
        return unsupported_option(options, "partition")

    @override
    def subscribed(self, subscriber: S) -> None:
        partition = self._of(subscriber)
        partition.subscribers += 1
        partition.line.subscribed(subscriber)

    @override
    def cancelled(self, subscriber: S, unbegun: list[object], ingested_at: float) -> list[object]:
        partition = self._of(subscriber)
        self._missing -= subscriber.pending
        partition.subscribers -= 1
        partition.line.cancelled(subscriber, [], ingested_at)
        partition.queue.put_back(unbegun, ingested_at)
        self.queued += len(unbegun)
        self._name(partition)
        if self._drops_unreachable and not partition.subscribers:
            self.context.discard(self._emptied(partition), "cancelled")
        return []

    @override
    def asked(self, subscriber: S, demand: int) -> None:
        self._missing += demand
        self._of(subscriber).line.asked(subscriber, demand)

    @override
    def unmet(self) -> int:
        return min(self._missing, self._room())

    @override
    def dispatch(self, events: list[object], ingested_at: float) -> tuple[list[Delivery[S]], int]:
        groups, used = self._sorted(events)  # first, so that nothing has changed when the function of a user raises
        deliveries: list[Delivery[S]] = []
        if self.queued:
            for partition in self._partitions.values():
                self._serve(partition, deliveries)
        for name, group in groups.items():
            partition = self._partitions[name]
            served, taken = partition.line.dispatch(group, ingested_at)
            deliveries += served
            self._missing -= taken
            if taken < len(group):
                self._enqueue(partition, group[taken:], ingested_at)
        return deliveries, used

    @override
    def add_marker(self, message: object) -> bool:
        queues = [partition.queue for partition in self._partitions.values() if partition.queue.size]
        waiting = _Waiting(message, len(queues))
        for queue in queues:
            queue.add_marker(waiting)
        return not queues

    @override
    def drain(self, *, is_unreachable_only: bool = False) -> list[object]:
        self._drops_unreachable = self._drops_unreachable or is_unreachable_only
        unloaded: list[object] = []
        for partition in self._partitions.values():
            if not (is_unreachable_only and partition.subscribers):
                unloaded += self._emptied(partition)
        return unloaded

    def partition_of(self, event: object) -> Hashable | None:
        """Return the partition of an event; None when it has none."""
        try:
            return self._hash(event)
        except BaseException:  # noqa: BLE001 - a function of a user may raise anything; the event has no partition
            return None

    def _of(self, subscriber: S) -> _Partition[S]:
        return self._partitions[subscriber.partition]

    def _room(self) -> int:
        if not self.queued:
            return self._max_queue
        return max(0, self._max_queue - max(partition.queue.size for partition in self._partitions.values()))

    def _sorted(self, events: list[object]) -> tuple[dict[Hashable, list[object]], int]:
        """Return the events of each partition, in order, as far as all fit, and how many were used."""
        groups: dict[Hashable, list[object]] = {}
        unrouted: list[object] = []
        failed: list[tuple[object, Exception]] = []
        room, used, partition_of = self._room(), 0, self._hash
        for event, data in zip(events, self.context.data(events), strict=True):
            try:
                name = partition_of(data)
                group = groups.get(name)
                if group is None and name is not None:
                    group = groups[name] = self._new_group(name)
            except Exception as error:  # noqa: BLE001 - a function of a user may raise anything; it fails this event alone
                failed.append((event, error))
            else:
                if group is None:
                    unrouted.append(event)
                elif used < room or len(group) < self._room_of(self._partitions[name]):
                    group.append(event)
                else:
                    break
            used += 1
        for event, why in failed:
            self.context.fail(event, why)
        if unrouted:
            self.context.discard(unrouted, UNROUTED)
        return {name: group for name, group in groups.items() if group}, used

    def _new_group(self, name: Hashable) -> list[object]:
        if name not in self._partitions:
            raise UnknownPartition(name, self._partitions)
        return []

    def _room_of(self, partition: _Partition[S]) -> int:
        return self._max_queue - partition.queue.size + partition.line.unmet()

    def _enqueue(self, partition: _Partition[S], events: list[object], ingested_at: float) -> None:
        if self._drops_unreachable and not partition.subscribers:
            self.context.discard(events, "cancelled")
            return
        partition.queue.put(events, ingested_at)
        self.queued += len(events)
        self._name(partition)

    def _serve(self, partition: _Partition[S], deliveries: list[Delivery[S]]) -> None:
        queue, line = partition.queue, partition.line
        while queue.size and (missing := line.unmet()):
            events, ingested_at = queue.take(missing)
            deliveries += line.dispatch(events, ingested_at)[0]
            self._missing -= len(events)
            self.queued -= len(events)
            self._reach(queue)

    def _emptied(self, partition: _Partition[S]) -> list[object]:
        unloaded: list[object] = []
        while partition.queue.size:
            unloaded += partition.queue.take(partition.queue.size)[0]
            self._reach(partition.queue)
        self.queued -= len(unloaded)
        return unloaded

    def _reach(self, queue: Buffer[object]) -> None:
        for waiting in queue.take_markers() if queue.markers else ():
            if isinstance(waiting, _Waiting):
                waiting.left -= 1
                if not waiting.left:
                    self.context.reached(waiting.message)

    def _name(self, partition: _Partition[S]) -> None:
        """Log once that events wait without a subscriber, since they will stop the stage."""
        if not partition.subscribers and partition.queue.size and not partition.has_been_named:
            partition.has_been_named = True
            instead = ", or let the hash return None for them" if self.called == "partition" else ""
            self.context.warn(
                f"nobody subscribes to its {self.called} {partition.name!r}: up to {self._max_queue} events wait "
                f"there, and then the stage stops for all; let a consumer take it{instead}"
            )


def _names(partitions: object) -> tuple[Hashable, ...]:
    if isinstance(partitions, int):
        return tuple(range(partitions))
    names = tuple(partitions) if isinstance(partitions, Iterable) else ()
    for name in names:
        if not isinstance(name, Hashable):
            raise DispatcherError("partition", f"was given {name!r}, which is no name of a partition")
    return names


def _check(names: tuple[Hashable, ...], max_queue: object) -> None:
    if not names:
        raise DispatcherError(
            "partition", "needs partitions, 1 or more, or their names: partial(PartitionDispatcher, 4)"
        )
    if None in names or len(set(names)) < len(names):
        raise DispatcherError("partition", "needs a name of its own for each partition, and None is none")
    if not isinstance(max_queue, int) or max_queue < 1:
        raise DispatcherError("partition", f"has a max_queue of {max_queue!r}: it must be a whole number, 1 or more")


MAX_QUEUE: Final = 1000
"""The most events that wait for the subscribers of one output; then the stage waits, too."""


@dataclass(slots=True)
class Output:
    """An event, and the name of the output by which its stage emits it. Subscribers of the output get the event alone.

    Treat it as frozen. It is not a frozen dataclass, because that would take three times as long to make.
    """

    name: str
    event: object


def bare(event: object) -> object:
    """Return an event without the name of its output.

    >>> bare(Output("eu", 7)), bare(8)
    (7, 8)
    """
    return event.event if isinstance(event, Output) else event


class OutputsDispatcher(PartitionDispatcher[S]):
    """Each output is a partition with a limit: a slow one stops the stage when it is full, and is logged.

    An event without an output, or with one that the stage does not have, fails alone.
    """

    __slots__ = ()

    called = "output"

    def __init__(self, names: Sequence[str], max_queue: int = MAX_QUEUE) -> None:
        """Raises `DispatcherError` when two outputs have one name."""
        known = frozenset(names)

        def output_of(event: object) -> Hashable:
            if isinstance(event, Output) and event.name in known:
                return event.name
            raise UnknownOutput(event.name if isinstance(event, Output) else None, names)

        super().__init__(names, hash=output_of, max_queue=max_queue)
