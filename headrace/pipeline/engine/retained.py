"""Messages that a stage keeps beyond the batch in which they came, and those that it lets go."""

from collections.abc import Sequence

from headrace.pipeline.message import Message, Outcome, acknowledge


class Retained:
    """Has each held message's source wait for it; what is let go is settled once what was made of it is claimed."""

    __slots__ = ("_messages", "_released")

    def __init__(self) -> None:
        self._messages: dict[int, Message[object]] = {}
        self._released: list[object] = []

    def __len__(self) -> int:
        return len(self._messages)

    def retain(self, events: Sequence[object]) -> None:
        """Keep the messages among `events`; one that is held already stays so."""
        for event in events:
            if isinstance(event, Message) and id(event) not in self._messages:
                event.acknowledgement.add(1)
                self._messages[id(event)] = event

    def release(self, events: Sequence[object]) -> None:
        """Let go of `events`, as far as they are held."""
        for event in events:
            message = self._messages.pop(id(event), None)
            if message is not None:
                self._released.append(message)

    def returned(self) -> None:
        """Settle what was let go: all that came of it has been claimed."""
        if self._released:
            released, self._released = self._released, []
            acknowledge(released, Outcome.DONE)

    def requeue(self, current: Sequence[object]) -> list[object]:
        """Forget all, and return it, oldest first, to be delivered again; each is still one living descendant.

        What is `current` lives by that, and is not returned.
        """
        known = {id(event) for event in current}
        messages = [*self._released, *self._messages.values()]
        self._released = []
        self._messages = {}
        acknowledge((message for message in messages if id(message) in known), Outcome.DONE)
        return [message for message in messages if id(message) not in known]
