"""Letters for tests of their store."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest

from headrace.dead_letters.dead_letter import NewDeadLetter, Replay
from headrace.dead_letters.sqlite_store import SqliteDeadLetterStore
from headrace.dead_letters.store import DeadLetterFilter, DeadLetterLimits, ReplayResult

NOON: Final = datetime(2020, 1, 1, 12, tzinfo=UTC)


class LetterClock:
    """A calendar, and seconds, that stand still until they are moved; the calendar may be set, too."""

    def __init__(self) -> None:
        self.now = NOON
        self._seconds = 0.0

    def __call__(self) -> datetime:
        return self.now

    def seconds(self) -> float:
        return self._seconds

    def move(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self._seconds += seconds

    def set(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def failed(error: Exception) -> Exception:
    """Return an error that was raised, with its traceback."""
    with pytest.raises(type(error)) as raised:
        raise error
    return raised.value


def letter(
    event: object = "visit", *, stage: str = "price", error: Exception | None = None, replay_of: Replay | None = None
) -> NewDeadLetter:
    """Return a letter of the pipeline `shop`."""
    return NewDeadLetter("shop", stage, event, error or failed(KeyError("total")), replay_of=replay_of)


def small_store(path: Path, clock: LetterClock | None = None, **bounds: int) -> SqliteDeadLetterStore:
    """Return a store that is not open yet."""
    clock = clock or LetterClock()
    return SqliteDeadLetterStore(path, DeadLetterLimits(**bounds), now=clock, clock=clock.seconds)


class FailingLetters(SqliteDeadLetterStore):
    """A store on a disk that comes and goes: it fails to put or to settle as often as it is told."""

    puts = 0
    settles = 0

    async def put(self, letters: Sequence[NewDeadLetter]) -> None:
        if self.puts:
            self.puts -= 1
            raise OSError(28, "No space left on device")
        await super().put(letters)

    async def acknowledge(self, settled: Sequence[ReplayResult]) -> None:
        if self.settles:
            self.settles -= 1
            raise OSError(5, "Input/output error")
        await super().acknowledge(settled)


ALL: Final = DeadLetterFilter()


async def events_in(store: SqliteDeadLetterStore, which: DeadLetterFilter = ALL) -> list[str]:
    """Return the events of the letters that fit, oldest first."""
    return [one.event for one in await store.find(which, 1000, is_newest_first=False)]


async def put_events(store: SqliteDeadLetterStore, *events: object, stage: str = "price") -> None:
    """Put a letter for each event."""
    await store.put([letter(event, stage=stage) for event in events])


async def beat(store: SqliteDeadLetterStore, times: int = 1) -> None:
    """Have a store do its chores."""
    for _ in range(times):
        await store.writer.run(store._heartbeat)
