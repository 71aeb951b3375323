"""A message: an event with metadata and an acknowledgement, which at-least-once edges carry."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from headrace.pipeline.acknowledgement.acknowledgement import (
    NO_ACKNOWLEDGEMENT,
    Acknowledges,
    JoinedAcknowledgement,
    Outcome,
)

D_co = TypeVar("D_co", covariant=True)
N = TypeVar("N")


@dataclass(frozen=True, slots=True)
class Message(Generic[D_co]):
    """`data` is what a per-event function sees; `attempt` counts deliveries of it to one stage, from 1."""

    data: D_co
    metadata: Mapping[str, object] = field(default_factory=dict)
    acknowledgement: Acknowledges = NO_ACKNOWLEDGEMENT
    attempt: int = 1

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
        return replace(self, attempt=self.attempt + 1)


def as_messages(events: Iterable[object]) -> list[object]:
    """Return `events` with plain ones wrapped: nobody waits for those."""
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
