"""The replay of one stage's dead letters: sends each into the stage where it failed, and reports its outcome."""

import enum
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from headrace.dead_letters.dead_letter import Replay
from headrace.dead_letters.event_text import read
from headrace.dead_letters.store import LeasedDeadLetter
from headrace.pipeline.demand.window import Window
from headrace.pipeline.engine.stage_process import StageProcess
from headrace.pipeline.flow.injector import Injector
from headrace.pipeline.message import Acknowledgement, Message, Outcome
from headrace.pipeline.topology.link import input_of

REPLAY_OF: Final = "dead_letter"
"""The key of a message's metadata that holds its `Replay`."""

AT_ONCE: Final = 100
"""The most dead letters of one stage that are in progress at a time; half of them are one batch."""

CATCH_UP_SECONDS: Final = 0.1
"""The most seconds that a rate catches up on after the loop was busy."""


class ReplayListener(Protocol):
    """Receives the outcomes of replays."""

    def ended(self, replay: Replay, *, is_done: bool) -> None:
        """Called when a replay has ended."""

    def not_started(self, replay: Replay) -> None:
        """Called when a replay has not begun, so that its dead letter waits again."""

    def asked(self) -> None:
        """Called when there may be work."""


class ReplayOutcome(enum.Enum):
    """The outcome of a plain event, as far as it is known before the end of its batch."""

    UNKNOWN = 0
    KEPT = 1
    """It failed again, and its dead letter is updated."""
    LOST = 2
    """It failed again, and could not be stored: its dead letter must stay."""


@dataclass(slots=True, eq=False)
class _ReplayedEvent:
    """A dead letter that was sent as a plain event."""

    replay: Replay
    event: object
    outcome: ReplayOutcome = ReplayOutcome.UNKNOWN


class StageReplay:
    """Sends leased dead letters, no faster than their rates, while the stage asks for more.

    On edges with messages a replay ends when all events made from its event have ended. On plain edges it ends when the
    stage has handled the event; later stages may still lose its outputs, as they may lose any other event.
    """

    def __init__(self, stage: str, consumer: StageProcess, listener: ReplayListener) -> None:
        self.stage = stage
        self._listener = listener
        self._is_acknowledged = input_of(consumer).is_acknowledged
        self._counts = consumer.counts
        self._failed = consumer.counts.failed
        self._waiting: deque[LeasedDeadLetter] = deque()
        self._in_flight: deque[_ReplayedEvent] = deque()
        self._due_at = 0.0
        self._has_begun = False
        is_in_order = consumer.concurrency.is_plain and not consumer.processing.is_concurrent
        window = (
            Window(AT_ONCE) if self._is_acknowledged or is_in_order else Window(1, 0)
        )  # else it is unknown which event failed
        self._injector = Injector(f"{stage}.dead_letters", consumer, window, self)

    @property
    def is_over(self) -> bool:
        """Whether no more events can be sent."""
        return self._injector.is_over

    @property
    def is_resolved(self) -> bool:
        """Whether no more events can be sent, and the outcome of every plain event is known."""
        return self._injector.is_over and not self._in_flight

    @property
    def room(self) -> int:
        """The number of dead letters to lease: as many as the stage asks for, or 0 while leased ones wait."""
        return 0 if self._waiting else self._injector.wanted

    def add(self, leased: list[LeasedDeadLetter]) -> None:
        """Queue leased dead letters for sending."""
        self._waiting.extend(leased)

    def send_due(self, now: float) -> float | None:
        """Send the events that the rates allow by `now`; return the seconds until the next one, None without one."""
        due: list[object] = []
        if not self._has_begun:
            self._has_begun, self._due_at = True, now
        while self._waiting and len(due) < self._injector.wanted and self._due_at <= now:
            one = self._waiting.popleft()
            if one.rate is not None:
                self._due_at = max(self._due_at, now - CATCH_UP_SECONDS) + 1 / one.rate
            due += self._event(one)
        if due:
            self._injector.send(due)
        return max(0.0, self._due_at - now) if self._waiting and self._injector.wanted else None

    def finish(self) -> None:
        """Send no more events. Leased dead letters that were not sent wait again."""
        self._injector.complete()
        while self._waiting:
            self._listener.not_started(self._waiting.popleft().replay)

    def replay_in_flight(self, event: object) -> Replay | None:
        """Return the replay of a plain event that is in progress in the stage, if there is one."""
        return next(
            (one.replay for one in self._in_flight if one.event is event and one.outcome is ReplayOutcome.UNKNOWN), None
        )

    def resolve(self, replay: Replay, outcome: ReplayOutcome) -> None:
        """Set the outcome of a plain event that failed again."""
        for one in self._in_flight:
            if one.replay == replay:
                one.outcome = outcome

    def _event(self, leased: LeasedDeadLetter) -> list[object]:
        """Return a list of the event of a dead letter; an empty list when its text is broken, which ends the replay."""
        dead_letter, replay = leased.dead_letter, leased.replay
        try:
            event = read(dead_letter.event, dead_letter.form)
        except ValueError:
            self._listener.ended(replay, is_done=False)
            return []
        if self._is_acknowledged:
            acknowledgement = Acknowledgement(lambda outcome: self._acknowledged(replay, outcome))
            return [Message(event, {**dead_letter.metadata, REPLAY_OF: replay}, acknowledgement)]
        self._in_flight.append(_ReplayedEvent(replay, event))
        return [event]

    def _acknowledged(self, replay: Replay, outcome: Outcome) -> None:
        self._listener.ended(replay, is_done=outcome is not Outcome.FAILED)

    # Called by the injector

    def asked(self) -> None:
        """Called when the stage asks for more, or has left."""
        self._listener.asked()

    def handled(self, count: int, *, is_crash: bool) -> None:
        """Report plain events that were handled, or lost in a crash. Messages report by their acknowledgement.

        Where the stage counted a failure without naming its event, no event of the batch counts as done.
        """
        batch = [self._in_flight.popleft() for _ in range(min(count, len(self._in_flight)))]
        known = sum(one.outcome is ReplayOutcome.LOST for one in batch)
        is_unclear, self._failed = self._counts.failed - self._failed > known, self._counts.failed
        for one in batch:
            if one.outcome is not ReplayOutcome.KEPT:
                is_done = one.outcome is ReplayOutcome.UNKNOWN and not (is_crash or is_unclear)
                self._listener.ended(one.replay, is_done=is_done)

    def taken_back(self, events: list[object]) -> None:
        """Called with events that the stage had not begun. Their dead letters wait again."""
        if self._is_acknowledged:
            for event in events:
                replay = replay_of(event.metadata) if isinstance(event, Message) else None
                if replay is not None:
                    self._listener.not_started(replay)
        else:
            for _ in range(min(len(events), len(self._in_flight))):
                self._listener.not_started(self._in_flight.pop().replay)


def replay_of(metadata: Mapping[str, object]) -> Replay | None:
    """Return the replay in the metadata of a message, if there is one."""
    found = metadata.get(REPLAY_OF)
    return found if isinstance(found, Replay) else None
