"""A dead letter: an event that a stage gave up, with the error, kept until somebody replays or drops it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from headrace.pipeline.message import NO_METADATA


class EventForm(StrEnum):
    """How the event of a letter is written."""

    JSON = "json"
    """JSON text, of which the very event can be made again."""
    BASE64 = "base64"
    """Bytes, of which the very event can be made again."""
    REPR = "repr"
    """Python's own description of what is no JSON; no event can be made of it."""
    CUT = "cut"
    """The beginning of one of the others, which was too long; no event can be made of it."""


@dataclass(frozen=True, slots=True)
class Replay:
    """One replay of a letter: the letter's id, and the how manyeth time it is that it was taken."""

    id: int
    lease: int


@dataclass(frozen=True, slots=True)
class NewDeadLetter:
    """An event that was given up, for a store to keep. `metadata` is that of its message, if it was one.

    `replay_of` says of which replay the event came, if of any: when that is of a letter of the same stage, it has
    failed again, and that letter is kept on, and no second one. `redact` hides in the text of the error, and in its
    traceback, what must not be kept; the event itself is data, and kept as it is.
    """

    pipeline: str
    stage: str
    event: object
    error: BaseException
    attempts: int = 1
    metadata: Mapping[str, object] = field(default_factory=lambda: NO_METADATA)
    replay_of: Replay | None = None
    redact: Callable[[str], str] = str


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that was given up, as it is kept.

    `stage` is where it failed, and `attempts` how often it was tried there, replays included. `at` is when it failed
    last (aware UTC), `size` what it takes of the store's bound, in bytes. `replay_at` is since when it waits to be
    replayed, and None where nobody has asked for that; `is_leased` tells that a run is at it. `is_shortened` tells that
    whoever looks wanted the beginning of long events alone.
    """

    id: int
    pipeline: str
    stage: str
    event: str
    form: EventForm
    metadata: Mapping[str, object]
    error_type: str
    error: str
    traceback: str
    attempts: int
    at: datetime
    size: int
    replay_at: datetime | None = None
    is_leased: bool = False
    is_shortened: bool = False

    @property
    def is_replayable(self) -> bool:
        """Whether the very event can be made of it again."""
        return self.form in REPLAYABLE


REPLAYABLE = frozenset({EventForm.JSON, EventForm.BASE64})
"""Forms of which the very event can be made again."""
