"""What a dispatcher sees of the stage behind it, and how that stage counts what is not delivered."""

from typing import Protocol

from headrace.pipeline.dispatchers.dispatcher import UNROUTED
from headrace.pipeline.flow.counts import StageCounts
from headrace.pipeline.message import Message, Outcome, settle
from headrace.telemetry.events import LOG


class Outgoing(Protocol):
    """A stage's outlet, as far as its dispatcher is concerned."""

    counts: StageCounts
    is_acknowledged: bool

    def reached(self, message: object) -> None:
        """Hand on a message whose time has come."""

    def discard(self, events: list[object], reason: str) -> None:
        """Count events that go no further as failed."""


class DispatchHost:
    """Stands between a dispatcher and an outlet.

    `accounted` are the events that the dispatcher has discarded or failed since the list was cleared: should it raise,
    they are not counted twice.
    """

    __slots__ = ("_outlet", "accounted")

    def __init__(self, outlet: Outgoing) -> None:
        self._outlet = outlet
        self.accounted: list[object] = []

    def data(self, events: list[object]) -> list[object]:
        """Return the events, or on edges that carry messages what those hold."""
        if not self._outlet.is_acknowledged:
            return events
        return [event.data if isinstance(event, Message) else event for event in events]

    def discard(self, events: list[object], reason: str) -> None:
        """Count events that go no further; those that a rule has dropped are done with."""
        self.accounted += events
        if reason != UNROUTED:
            self._outlet.discard(events, reason)
            return
        counts = self._outlet.counts
        counts.discarded.setdefault(reason, 0)
        counts.discard(len(events), reason)
        if self._outlet.is_acknowledged:
            settle(events, Outcome.DONE)

    def fail(self, event: object, error: BaseException) -> None:
        """Count one event that failed."""
        self.accounted.append(event)
        self._outlet.counts.fail(error)
        if self._outlet.is_acknowledged:
            settle([event], Outcome.FAILED)

    def say(self, sentence: str) -> None:
        """Write a warning to the log."""
        LOG.warning("stage %r: %s", self._outlet.counts.stage, sentence)

    def reached(self, message: object) -> None:
        """Hand a message on whose time has come."""
        self._outlet.reached(message)
