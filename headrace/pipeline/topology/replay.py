"""The replay of one stage's dead letters: each goes into the stage where it failed, and is told what became of it."""

import enum
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from headrace.pipeline.acknowledgement.dead_letter import Replay
from headrace.pipeline.acknowledgement.dead_letters import LeasedDeadLetter
from headrace.pipeline.acknowledgement.event_text import read
from headrace.pipeline.demand.window import Window
from headrace.pipeline.flow.injector import Injector
from headrace.pipeline.message import Acknowledgement, Message, Outcome
from headrace.pipeline.topology.link import InputProcess

REPLAY_OF: Final = "dead_letter"
"""The key of a message's metadata under which stands of which `Replay` it came."""

AT_ONCE: Final = 100
"""Letters of one stage that are under way at a time, at most; half of them in one batch."""

CATCH_UP_SECONDS: Final = 0.1
"""What a rate makes up for when the loop was busy: so much time's letters go at once, and no more."""


class ReplayListener(Protocol):
    """Who writes down what becomes of replays."""

    def ended(self, replay: Replay, *, is_done: bool) -> None:
        """Take note that a replay has ended."""

    def not_started(self, replay: Replay) -> None:
        """Take note that a letter waits as before: nobody has begun with it."""

    def asked(self) -> None:
        """Take note that there may be something to do."""


class ReplayOutcome(enum.Enum):
    """What is known of a plain event before its batch was done with."""

    UNKNOWN = 0
    KEPT = 1
    """It failed again, and its letter is kept on."""
    LOST = 2
    """It failed again, and could not be kept: its letter must stay."""


@dataclass(slots=True, eq=False)
class _ReplayedEvent:
    """A letter that was sent as a plain event."""

    replay: Replay
    event: object
    outcome: ReplayOutcome = ReplayOutcome.UNKNOWN


class StageReplay:
    """Sends letters that were taken, no quicker than their rates, while the stage asks for more.

    Where messages flow a replay ends when all that came of its event has. On a plain edge nobody knows so much: there
    it ends when the stage has handled the event, and what becomes of its outputs is as with any other event there.
    """

    def __init__(self, stage: str, consumer: InputProcess, listener: ReplayListener) -> None:
        self.stage = stage
        self._listener = listener
        self._is_acknowledged = consumer.input.is_acknowledged
        self._counts = consumer.counts
        self._failed = consumer.counts.failed
        self._waiting: deque[LeasedDeadLetter] = deque()
        self._in_flight: deque[_ReplayedEvent] = deque()
        self._due_at = 0.0
        self._has_begun = False
        is_in_order = consumer.concurrency.is_plain and consumer.in_flight is None
        window = Window(AT_ONCE) if self._is_acknowledged or is_in_order else Window(1, 0)  # else nobody knows which
        self._injector = Injector(f"{stage}.dead_letters", consumer, window, self)

    @property
    def is_over(self) -> bool:
        """Whether nothing more can be sent."""
        return self._injector.is_over

    @property
    def is_resolved(self) -> bool:
        """Whether it is over, and known of every plain event what became of it."""
        return self._injector.is_over and not self._in_flight

    @property
    def room(self) -> int:
        """How many letters may be taken: the stage wants them, and none of those that were taken waits."""
        return 0 if self._waiting else self._injector.wanted

    def add(self, leased: list[LeasedDeadLetter]) -> None:
        """Have letters sent as soon as their turn comes."""
        self._waiting.extend(leased)

    def send_due(self, now: float) -> float | None:
        """Send what the rates allow by `now`; return for how many seconds the next letter waits, if one does."""
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
        """Send nothing more; what was taken and not sent waits as before."""
        self._injector.complete()
        while self._waiting:
            self._listener.not_started(self._waiting.popleft().replay)

    def replay_in_flight(self, event: object) -> Replay | None:
        """Return of which replay a plain event is that is under way in the stage, if of any."""
        return next(
            (one.replay for one in self._in_flight if one.event is event and one.outcome is ReplayOutcome.UNKNOWN), None
        )

    def resolve(self, replay: Replay, outcome: ReplayOutcome) -> None:
        """Take note of what became of a plain event that failed again."""
        for one in self._in_flight:
            if one.replay == replay:
                one.outcome = outcome

    def _event(self, leased: LeasedDeadLetter) -> list[object]:
        """Return the event of a letter, ready to be sent; none when its text is broken, which ends the replay."""
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

    # What the feed tells

    def asked(self) -> None:
        """Take note that more is wanted, or that the stage has left."""
        self._listener.asked()

    def handled(self, count: int, *, is_crash: bool) -> None:
        """Judge plain events that were handled, or lost in a crash; messages are told of by themselves.

        Where the stage has counted failures and not said whose they were, none of them is taken for done.
        """
        batch = [self._in_flight.popleft() for _ in range(min(count, len(self._in_flight)))]
        known = sum(one.outcome is ReplayOutcome.LOST for one in batch)
        is_unclear, self._failed = self._counts.failed - self._failed > known, self._counts.failed
        for one in batch:
            if one.outcome is not ReplayOutcome.KEPT:
                is_done = one.outcome is ReplayOutcome.UNKNOWN and not (is_crash or is_unclear)
                self._listener.ended(one.replay, is_done=is_done)

    def taken_back(self, events: list[object]) -> None:
        """Have letters wait as before that the stage had not begun."""
        if self._is_acknowledged:
            for event in events:
                replay = replay_of(event.metadata) if isinstance(event, Message) else None
                if replay is not None:
                    self._listener.not_started(replay)
        else:
            for _ in range(min(len(events), len(self._in_flight))):
                self._listener.not_started(self._in_flight.pop().replay)


def replay_of(metadata: Mapping[str, object]) -> Replay | None:
    """Return of which replay a message came, by its metadata, if of any."""
    found = metadata.get(REPLAY_OF)
    return found if isinstance(found, Replay) else None
