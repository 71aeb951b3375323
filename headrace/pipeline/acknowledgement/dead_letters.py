"""What a store of dead letters promises."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, Protocol

from headrace.pipeline.acknowledgement.dead_letter import DeadLetter, NewDeadLetter, Replay

CHANGE_BATCH: Final = 500
"""Letters that are changed in one transaction, so that no event that fails waits for all of them."""

DropReason = Literal["age", "count", "size"]
"""Which bound a letter was dropped for."""


@dataclass(frozen=True, slots=True)
class DeadLetterFilter:
    """Which letters: those for which all holds that is not None.

    `errors` are names of classes; what failed `before` a time, and what has an id below `before_id`, fits.
    """

    ids: frozenset[int] | None = None
    pipeline: str | None = None
    stages: frozenset[str] | None = None
    errors: frozenset[str] | None = None
    before: datetime | None = None
    before_id: int | None = None
    is_replayable: bool | None = None
    is_waiting_for_replay: bool | None = None


@dataclass(frozen=True, slots=True)
class LeasedDeadLetter:
    """A letter that was taken to be replayed, with how many of its kind may be so in a second; None: as they come."""

    dead_letter: DeadLetter
    replay: Replay
    rate: float | None = None


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """How a replay ended: the letter is done with, or else put back with one more attempt."""

    replay: Replay
    is_done: bool


@dataclass(frozen=True, slots=True)
class DeadLetterCounts:
    """What a store holds, all pipelines together, and what it has done since it was opened, this OS process alone."""

    dead_letters: int = 0
    size_bytes: int = 0
    put: int = 0
    dropped_for_age: int = 0
    dropped_for_count: int = 0
    dropped_for_size: int = 0


class DeadLetterStore(Protocol):
    """A store of dead letters, which several pipelines and OS processes may share.

    All of it raises SqliteError, or what else its store says, when it cannot be read or written; nothing is half
    written then.
    """

    async def open(self) -> None:
        """Make it ready."""

    async def close(self) -> None:
        """Write what was accepted, let go of what was taken, and close. A second time, do nothing."""

    async def put(self, dead_letters: Sequence[NewDeadLetter]) -> None:
        """Keep letters; durable at return. When it raises, or is cancelled, some may be kept all the same.

        What is beyond the bounds then goes, oldest first.
        """

    async def find(
        self, which: DeadLetterFilter, limit: int, *, is_newest_first: bool = True, most_characters: int | None = None
    ) -> list[DeadLetter]:
        """Return at most `limit` letters that fit, by id; of longer events at most so many characters."""

    async def count(self, which: DeadLetterFilter) -> int:
        """Return how many fit."""

    async def drop(self, which: DeadLetterFilter) -> int:
        """Delete letters, whoever replays them; return how many."""

    async def request_replay(self, which: DeadLetterFilter, rate: float | None = None) -> int:
        """Have letters replayed into the stages where they failed, at most `rate` a second; return how many.

        The pipeline that runs takes them, or the next run. What cannot be replayed, and what is marked, is left alone.
        """

    async def cancel_replay(self, which: DeadLetterFilter) -> int:
        """Have letters not replayed that wait for it; return how many. What a run is at goes on."""

    async def waiting(self, pipeline: str) -> list[str]:
        """Return the stages of the pipeline whose letters wait to be replayed, and that nobody has taken."""

    async def lease(self, pipeline: str, stage: str, count: int) -> list[LeasedDeadLetter]:
        """Take at most `count` letters of the stage that wait, oldest first.

        They are this store's until they are settled, put again, or given back. On cancellation they are given back.
        """

    async def acknowledge(self, results: Sequence[ReplayResult]) -> None:
        """Write how replays ended; what is no longer this store's is ignored."""

    async def release(self, replays: Sequence[Replay]) -> None:
        """Let letters wait again that were taken and not begun; what is no longer this store's is ignored."""

    def counts(self) -> DeadLetterCounts:
        """Return what it holds and has done, as it was known last; without a look at the file."""
