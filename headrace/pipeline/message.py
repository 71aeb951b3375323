"""`Message`, `Acknowledgement` and `Outcome`: how a source learns the end of each event."""

import enum
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Generic, Protocol, TypeVar

from typing_extensions import override

from headrace.telemetry.events import LOG


class Outcome(enum.IntEnum):
    """How a message ended. Of its descendants the worst outcome counts: the highest number."""

    DONE = 0
    DEAD_LETTERED = 1
    """The event failed and is stored as a dead letter, so that its source need not send it again."""
    FAILED = 2


class AcknowledgementLike(Protocol):
    """Counts the pending descendants of an event."""

    def add(self, count: int) -> None:
        """Add `count` descendants, before the first of them is delivered."""

    def end(self, outcome: Outcome) -> None:
        """Called when one descendant ended with `outcome`."""


class Acknowledgement:
    """Counts the pending descendants of an event, and reports the worst outcome to its source, once, after the last.

    It starts with one descendant: the event itself.
    """

    __slots__ = ("_pending", "_resolve", "_worst")

    def __init__(self, resolve: Callable[[Outcome], None]) -> None:
        """`resolve` is called in the event loop's thread; an error that it raises is logged and stops nothing."""
        self._resolve: Callable[[Outcome], None] | None = resolve
        self._pending = 1
        self._worst = Outcome.DONE

    def add(self, count: int) -> None:
        """Add `count` descendants, before the first of them is delivered."""
        self._pending += count

    def end(self, outcome: Outcome) -> None:
        """Called when one descendant ended. The last one reports to the source."""
        if outcome > self._worst:  # noqa: PLR1730 - a call to max would take as long as all the rest
            self._worst = outcome
        self._pending -= 1
        if not self._pending and self._resolve is not None:
            resolve, self._resolve = self._resolve, None
            try:
                resolve(self._worst)
            except Exception:  # noqa: BLE001 - an error of a source must not end the stage that reports to it
                LOG.exception("telling a source the outcome of an event failed")


class JoinedAcknowledgement:
    """The acknowledgement of an event with more than one parent: it reports to each of them."""

    __slots__ = ("_parents",)

    def __init__(self, parents: Sequence[AcknowledgementLike]) -> None:
        self._parents = tuple(parents)

    def add(self, count: int) -> None:
        """Add `count` descendants to every parent."""
        for parent in self._parents:
            parent.add(count)

    def end(self, outcome: Outcome) -> None:
        """End one descendant of every parent."""
        for parent in self._parents:
            parent.end(outcome)


class NoAcknowledgement:
    """The acknowledgement of a plain event among messages: no source waits for its outcome."""

    __slots__ = ()

    def add(self, count: int) -> None:
        """Do nothing."""

    def end(self, outcome: Outcome) -> None:
        """Do nothing."""


NO_ACKNOWLEDGEMENT: Final = NoAcknowledgement()


D_co = TypeVar("D_co", covariant=True)
N = TypeVar("N")


NO_METADATA: Final[Mapping[str, object]] = MappingProxyType({})


class Message(Generic[D_co]):
    """An event with metadata and an acknowledgement.

    A stage with `per_event` gets only its `data`. `attempt` counts its deliveries to one stage, from 1. Treat it as
    frozen: a frozen dataclass would take 1 µs to make, and this class takes a fifth of that.
    """

    __slots__ = ("acknowledgement", "attempt", "data", "metadata")

    def __init__(
        self,
        data: D_co,
        metadata: Mapping[str, object] = NO_METADATA,
        acknowledgement: AcknowledgementLike = NO_ACKNOWLEDGEMENT,
        attempt: int = 1,
    ) -> None:
        self.data = data
        self.metadata = metadata
        self.acknowledgement = acknowledgement
        self.attempt = attempt

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Message) and self._parts() == other._parts()

    __hash__ = None  # type: ignore[assignment] # as what it carries may be

    def _parts(self) -> tuple[object, ...]:
        return self.data, self.metadata, self.acknowledgement, self.attempt

    @override
    def __repr__(self) -> str:
        return f"Message({self.data!r}, {dict(self.metadata)!r}, attempt={self.attempt})"

    def derive(self, data: N, *others: "Message[object]") -> "Message[N]":
        """Return a message made from this one and the `others`, whose sources wait for it.

        Return derived messages from the batch handler: one that is not returned or emitted counts for nothing.
        """
        if not others:
            return Message(data, self.metadata, self.acknowledgement)
        parents = {id(one): one for one in (self.acknowledgement, *(other.acknowledgement for other in others))}
        return Message(data, self.metadata, JoinedAcknowledgement(tuple(parents.values())))

    def redeliver(self) -> "Message[D_co]":
        """Return this message for its next delivery."""
        return Message(self.data, self.metadata, self.acknowledgement, self.attempt + 1)


_MESSAGE: Final = frozenset({Message})


def as_messages(events: list[object]) -> list[object]:
    """Return `events` with plain ones as messages without a source. A list of messages only is returned itself."""
    if set(map(type, events)) <= _MESSAGE:
        return events
    return [event if isinstance(event, Message) else Message(event) for event in events]


def add_pending(messages: Iterable[object]) -> None:
    """Add one pending descendant to each of `messages`. Plain events are skipped."""
    for message in messages:
        if isinstance(message, Message):
            message.acknowledgement.add(1)


def acknowledge(messages: Iterable[object], outcome: Outcome) -> None:
    """End one descendant of each of `messages` with `outcome`. Plain events are skipped."""
    for message in messages:
        if isinstance(message, Message):
            message.acknowledgement.end(outcome)


class Retained:
    """Messages that a stage keeps beyond their batch, until it releases them.

    The source of each one waits. A released message is done when the outputs of the running callback are counted.
    """

    __slots__ = ("_messages", "_released")

    def __init__(self) -> None:
        self._messages: dict[int, Message[object]] = {}
        self._released: list[object] = []

    def retain(self, events: Sequence[object]) -> None:
        """Keep the messages among `events`. A second call for the same message changes nothing."""
        for event in events:
            if isinstance(event, Message) and id(event) not in self._messages:
                event.acknowledgement.add(1)
                self._messages[id(event)] = event

    def release(self, events: Sequence[object]) -> None:
        """Release the retained messages among `events`."""
        for event in events:
            message = self._messages.pop(id(event), None)
            if message is not None:
                self._released.append(message)

    def outputs_claimed(self) -> None:
        """Acknowledge the released messages: all their outputs are counted."""
        if self._released:
            released, self._released = self._released, []
            acknowledge(released, Outcome.DONE)

    def requeue(self, current: Sequence[object]) -> list[object]:
        """Forget all messages, and return them, oldest first, to be delivered again. Each has one pending descendant.

        Messages in the `current` batch are released instead: that batch is requeued by itself.
        """
        known = {id(event) for event in current}
        messages = [*self._released, *self._messages.values()]
        self._released = []
        self._messages = {}
        acknowledge((message for message in messages if id(message) in known), Outcome.DONE)
        return [message for message in messages if id(message) not in known]
