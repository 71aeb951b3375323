"""Messages that a stage keeps beyond the batch in which they came, until it releases them."""

from collections.abc import Sequence

from headrace.pipeline.message import Message, Outcome, acknowledge


class Retained:
    """Keeps the source of each retained message waiting; a released one is done once its outputs are claimed."""

    __slots__ = ("_messages", "_released")

    def __init__(self) -> None:
        self._messages: dict[int, Message[object]] = {}
        self._released: list[object] = []

    def __len__(self) -> int:
        return len(self._messages)

    def retain(self, events: Sequence[object]) -> None:
        """Keep the messages among `events`; one that is retained already stays so."""
        for event in events:
            if isinstance(event, Message) and id(event) not in self._messages:
                event.acknowledgement.add(1)
                self._messages[id(event)] = event

    def release(self, events: Sequence[object]) -> None:
        """Release the retained ones of `events`."""
        for event in events:
            message = self._messages.pop(id(event), None)
            if message is not None:
                self._released.append(message)

    def returned(self) -> None:
        """Acknowledge the released messages: all their outputs have been claimed."""
        if self._released:
            released, self._released = self._released, []
            acknowledge(released, Outcome.DONE)

    def requeue(self, current: Sequence[object]) -> list[object]:
        """Forget all messages, and return them, oldest first, to be delivered again; each has one pending descendant.

        Messages in `current` are only released, and not returned.
        """
        known = {id(event) for event in current}
        messages = [*self._released, *self._messages.values()]
        self._released = []
        self._messages = {}
        acknowledge((message for message in messages if id(message) in known), Outcome.DONE)
        return [message for message in messages if id(message) not in known]
