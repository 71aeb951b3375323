"""One event that is handled while others are, and the event of whichever callback runs now."""

from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from headrace.pipeline.flow.subscription import Subscription
from headrace.pipeline.message import Message, Outcome


@dataclass(slots=True, eq=False)
class Flight:
    """An event in hand at `place`, of the subscription `source`, what came of it, and how it ends once it `is_over`."""

    source: Subscription
    place: int
    event: object
    outputs: Sequence[object] = ()
    outcome: Outcome = Outcome.DONE
    error: BaseException | None = None
    is_over: bool = False

    @property
    def data(self) -> object:
        """What the callbacks see."""
        return self.event.data if isinstance(self.event, Message) else self.event

    @property
    def is_again(self) -> bool:
        """Whether a crash has delivered the event again."""
        return isinstance(self.event, Message) and self.event.attempt > 1

    def take_error(self) -> BaseException | None:
        """Return, once, what the callbacks said that it failed with."""
        error, self.error = self.error, None
        return error

    def land(self) -> list[object]:
        """Claim what came of a message, end it, and return the outputs."""
        message = self.event
        if not isinstance(message, Message):
            return list(self.outputs)
        outputs: list[object] = [message.derive(output) for output in self.outputs]
        if len(outputs) != 1 or self.outcome is not Outcome.DONE:  # else its place goes to the one that came of it
            if outputs:
                message.acknowledgement.add(len(outputs))
            message.acknowledgement.end(self.outcome)
        return outputs


FLIGHT: Final[ContextVar[Flight]] = ContextVar("flight")
"""The event whose callback runs: in a task of its own, or in a thread that has a copy of its context."""
