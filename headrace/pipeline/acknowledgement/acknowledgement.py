"""How an event that a source can take back is told, once, what became of it."""

import enum
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from headrace.telemetry.telemetry import LOG


class Outcome(enum.IntEnum):
    """What became of a message; the higher one is the worse one, and wins."""

    DONE = 0
    SET_ASIDE = 1
    """It failed, and is kept as a dead letter: its source need not send it again."""
    FAILED = 2


class Acknowledges(Protocol):
    """Counts the living descendants of an event at its source."""

    def add(self, count: int) -> None:
        """Take note of `count` more descendants, before the first of them is delivered."""

    def end(self, outcome: Outcome) -> None:
        """Take note that one descendant ended with `outcome`."""


class Acknowledgement:
    """Counts one event's descendants; when the last has ended, tells the source the worst outcome, once.

    It is born with one descendant: the event itself.
    """

    __slots__ = ("_living", "_tell", "_worst")

    def __init__(self, tell: Callable[[Outcome], None]) -> None:
        """`tell` is called in the event loop's thread; what it raises is logged and ends nothing."""
        self._tell: Callable[[Outcome], None] | None = tell
        self._living = 1
        self._worst = Outcome.DONE

    def add(self, count: int) -> None:
        """Take note of `count` more descendants, before the first of them is delivered."""
        self._living += count

    def end(self, outcome: Outcome) -> None:
        """Take note that one descendant ended; tell the source when it was the last, and never again."""
        if outcome > self._worst:  # noqa: PLR1730 - a call to max would take as long as all the rest
            self._worst = outcome
        self._living -= 1
        if not self._living and self._tell is not None:
            tell, self._tell = self._tell, None
            try:
                tell(self._worst)
            except Exception:  # noqa: BLE001 - a source's own trouble must not end the stage that told it
                LOG.exception("telling a source the outcome of an event failed")


class JoinedAcknowledgement:
    """The acknowledgement of an event that has several parents: each of them hears of it."""

    __slots__ = ("_parents",)

    def __init__(self, parents: Sequence[Acknowledges]) -> None:
        self._parents = tuple(parents)

    def add(self, count: int) -> None:
        """Tell every parent of `count` more descendants."""
        for parent in self._parents:
            parent.add(count)

    def end(self, outcome: Outcome) -> None:
        """Tell every parent that one descendant ended."""
        for parent in self._parents:
            parent.end(outcome)


class NoAcknowledgement:
    """The acknowledgement of a plain event among messages: nobody waits for it."""

    __slots__ = ()

    def add(self, count: int) -> None:
        """Do nothing."""

    def end(self, outcome: Outcome) -> None:
        """Do nothing."""


NO_ACKNOWLEDGEMENT: Final = NoAcknowledgement()
