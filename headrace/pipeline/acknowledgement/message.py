"""A message: an event with metadata and an acknowledgement, which at-least-once edges carry."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, Generic, TypeVar

from headrace.pipeline.acknowledgement.acknowledgement import (
    NO_ACKNOWLEDGEMENT,
    Acknowledges,
    JoinedAcknowledgement,
    Outcome,
)

D_co = TypeVar("D_co", covariant=True)
N = TypeVar("N")


NO_METADATA: Final[Mapping[str, object]] = MappingProxyType({})


class Message(Generic[D_co]):
    """`data` is what a per-event function sees; `attempt` counts deliveries of it to one stage, from 1.

    Treat it as frozen: it is no frozen dataclass only because one of those takes 1 us to make, and this a fifth of it.
    """

    __slots__ = ("acknowledgement", "attempt", "data", "metadata")

    def __init__(
        self,
        data: D_co,
        metadata: Mapping[str, object] = NO_METADATA,
        acknowledgement: Acknowledges = NO_ACKNOWLEDGEMENT,
        attempt: int = 1,
    ) -> None:
        self.data = data
        self.metadata = metadata
        self.acknowledgement = acknowledgement
        self.attempt = attempt

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Message) and self._parts() == other._parts()

    __hash__ = None  # type: ignore[assignment] # as what it carries may be

    def _parts(self) -> tuple[object, ...]:
        return self.data, self.metadata, self.acknowledgement, self.attempt

    def __repr__(self) -> str:
        return f"Message({self.data!r}, {dict(self.metadata)!r}, attempt={self.attempt})"

    def derive(self, data: N, *others: "Message[object]") -> "Message[N]":
        """Return a message that comes of this one, and of the `others` too; all of them wait for it.

        A batch handler returns what it derived; what it derived and does not return counts for nothing.
        """
        if not others:
            return Message(data, self.metadata, self.acknowledgement)
        parents = {id(one): one for one in (self.acknowledgement, *(other.acknowledgement for other in others))}
        return Message(data, self.metadata, JoinedAcknowledgement(tuple(parents.values())))

    def again(self) -> "Message[D_co]":
        """Return this message for one more delivery."""
        return Message(self.data, self.metadata, self.acknowledgement, self.attempt + 1)


_MESSAGE: Final = frozenset({Message})


def as_messages(events: list[object]) -> list[object]:
    """Return `events` with plain ones wrapped: nobody waits for those. A list of messages alone is returned itself."""
    if set(map(type, events)) <= _MESSAGE:
        return events
    return [event if isinstance(event, Message) else Message(event) for event in events]


def claim(messages: Iterable[object]) -> None:
    """Add one living descendant for each of `messages`, to each of its sources."""
    for message in messages:
        if isinstance(message, Message):
            message.acknowledgement.add(1)


def settle(messages: Iterable[object], outcome: Outcome) -> None:
    """End one descendant for each of `messages` with `outcome`."""
    for message in messages:
        if isinstance(message, Message):
            message.acknowledgement.end(outcome)
