"""The protocol of a store of dead letters, its filter, its limits, and the path in its URL."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, Protocol

from headrace.database.urls import NUL, has_nul, parse_sqlite_url
from headrace.dead_letters.dead_letter import DeadLetter, NewDeadLetter, Replay
from headrace.dead_letters.errors import BadDeadLetters

CHANGE_BATCH: Final = 500
"""The most dead letters that one transaction changes, so that a failing event does not wait for all of them."""

DropReason = Literal["age", "count", "size"]
"""The limit for which a dead letter was dropped."""


@dataclass(frozen=True, slots=True)
class DeadLetterFilter:
    """Selects dead letters: every field that is not None must match.

    `errors` are names of classes. `before` matches dead letters that failed earlier, `before_id` those with a lower id.
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
    """A dead letter that is leased for its replay. `rate` is the limit of replays per second; None is no limit."""

    dead_letter: DeadLetter
    replay: Replay
    rate: float | None = None


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """The result of a replay. The dead letter is deleted if it `is_done`, else kept with one more attempt."""

    replay: Replay
    is_done: bool


@dataclass(frozen=True, slots=True)
class DeadLetterCounts:
    """The size of a store, for all pipelines, and the numbers that this OS process stored and dropped since `open`."""

    dead_letters: int = 0
    size_bytes: int = 0
    put: int = 0
    dropped_for_age: int = 0
    dropped_for_count: int = 0
    dropped_for_size: int = 0


class DeadLetterStore(Protocol):
    """A store of dead letters, which several pipelines and OS processes may share.

    Every method raises SqliteError, or another error that its store documents, when the store cannot be read or
    written. No write is done halfway.
    """

    async def open(self) -> None:
        """Make the store ready for use."""

    async def close(self) -> None:
        """Write accepted dead letters, release leased ones, and close. A second call does nothing."""

    async def put(self, dead_letters: Sequence[NewDeadLetter]) -> None:
        """Store dead letters; durable at return. When it raises or is cancelled, some may be stored.

        Dead letters beyond the limits are dropped then, oldest first.
        """

    async def find(
        self, which: DeadLetterFilter, limit: int, *, is_newest_first: bool = True, most_characters: int | None = None
    ) -> list[DeadLetter]:
        """Return at most `limit` matching dead letters, by id; events are cut to `most_characters`."""

    async def count(self, which: DeadLetterFilter) -> int:
        """Return how many dead letters match."""

    async def drop(self, which: DeadLetterFilter) -> int:
        """Delete dead letters, leased ones too; return how many."""

    async def request_replay(self, which: DeadLetterFilter, rate: float | None = None) -> int:
        """Request the replay of dead letters, at most `rate` a second; return how many.

        The present run leases them, or the next one. Dead letters that cannot be replayed, or already wait, stay
        unchanged.
        """

    async def cancel_replay(self, which: DeadLetterFilter) -> int:
        """Cancel replays that have not begun; return how many. Replays of leased dead letters continue."""

    async def waiting(self, pipeline: str) -> list[str]:
        """Return the stages of the pipeline with dead letters that wait for their replay and are not leased."""

    async def lease(self, pipeline: str, stage: str, count: int) -> list[LeasedDeadLetter]:
        """Lease at most `count` waiting dead letters of the stage, oldest first.

        They stay leased until they are acknowledged, put again, or released. On cancellation they are released.
        """

    async def acknowledge(self, results: Sequence[ReplayResult]) -> None:
        """Write the results of replays. Results whose lease was lost are ignored."""

    async def release(self, replays: Sequence[Replay]) -> None:
        """Release dead letters whose replay has not begun: they wait again. Lost leases are ignored."""

    def counts(self) -> DeadLetterCounts:
        """Return the counts as of the last write; does not read the store."""


LEAST_SIZE_BYTES: Final = 64 * 1024
"""A smaller limit would hold no useful number of dead letters."""


@dataclass(frozen=True, slots=True)
class DeadLetterLimits:
    """The limits of a store. Older dead letters are dropped, then the oldest ones beyond the other two limits."""

    max_age_seconds: float = 30 * 86_400.0
    max_size_bytes: int = 100 * 1024 * 1024
    max_events: int = 1_000_000


UNBOUNDED: Final = DeadLetterLimits(100 * 366 * 86_400.0, 2**62, 2**62)
"""The limits for commands that only read: none is dropped."""


_SHAPE: Final = "is no SQLite file: write sqlite:///var/dead.db, or sqlite:////var/lib/dead.db from the root"
_OPTIONS: Final = "has no options behind its path: take them away"


def path_of(url: str) -> str:
    """Return the path of the file that the URL names; nothing is opened. Raises BadDeadLetters."""
    if has_nul(url):
        raise BadDeadLetters(NUL)
    found = parse_sqlite_url(url)
    if found is None:
        raise BadDeadLetters(_SHAPE)
    if found.options or found.has_fragment:
        raise BadDeadLetters(_OPTIONS)
    return found.path
