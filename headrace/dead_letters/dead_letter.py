"""Dead letters: events that failed for good, stored with their error until replayed or dropped; also as JSON."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from headrace.pipeline.message import NO_METADATA


class EventForm(StrEnum):
    """How the event of a dead letter is written."""

    JSON = "json"
    """JSON text; the event can be restored from it."""
    BASE64 = "base64"
    """Bytes; the event can be restored from them."""
    REPR = "repr"
    """Python's `repr` of an event that JSON cannot hold; it cannot be restored."""
    CUT = "cut"
    """The beginning of an event that was too long; it cannot be restored."""


@dataclass(frozen=True, slots=True)
class Replay:
    """One replay of a dead letter: the id of the dead letter, and the number of the lease, counted from 1."""

    id: int
    lease: int


@dataclass(frozen=True, slots=True)
class NewDeadLetter:
    """An event that failed for good, for a store to keep. `metadata` is the metadata of its message, if it was one.

    `replay_of` is the replay that the event came from, if any. When that was the replay of a dead letter of the same
    stage, the event has failed again: its dead letter is updated, and no second one is stored. `redact` removes secrets
    from the text of the error and its traceback; the event itself is stored unchanged.
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
    """An event that failed for good, as it is stored.

    `stage` is the stage where it failed, and `attempts` the number of tries there, replays included. `at` is the time
    of its last failure (aware UTC), `size` the bytes that count towards the store's limit. `replay_at` is the time of
    the request for a replay, None without one; `is_leased` says that a run replays it now. `is_shortened` says that
    only the beginning of the event was read.
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
        """Whether the event can be restored from it."""
        return self.form in REPLAYABLE


REPLAYABLE = frozenset({EventForm.JSON, EventForm.BASE64})
"""Forms from which the event can be restored."""


LIST_CHARACTERS: Final = 4096
"""The characters of one event that a list shows: a page of the longest events would not fit in memory."""


def dead_letter_json(dead_letter: DeadLetter, *, is_whole: bool) -> dict[str, object]:
    """Return a dead letter as plain values, times as ISO 8601, the traceback only where `is_whole`.

    `event` is the event itself where it is stored as JSON, and its text otherwise, or the beginning of the text where
    it `is_shortened`. `form` says how it is stored.
    """
    error: dict[str, object] = {"type": dead_letter.error_type, "text": dead_letter.error}
    return {
        "id": dead_letter.id,
        "pipeline": dead_letter.pipeline,
        "stage": dead_letter.stage,
        "event": _event(dead_letter),
        "is_shortened": dead_letter.is_shortened,
        "form": dead_letter.form.value,
        "is_replayable": dead_letter.is_replayable,
        "metadata": dead_letter.metadata,
        "error": {**error, "traceback": dead_letter.traceback} if is_whole else error,
        "attempts": dead_letter.attempts,
        "at": dead_letter.at.isoformat(),
        "size_bytes": dead_letter.size,
        "replay_at": None if dead_letter.replay_at is None else dead_letter.replay_at.isoformat(),
        "is_taken": dead_letter.is_leased,
    }


def _event(dead_letter: DeadLetter) -> object:
    if dead_letter.form is not EventForm.JSON or dead_letter.is_shortened:
        return dead_letter.event
    try:
        return json.loads(dead_letter.event)
    except ValueError:  # another program has changed the file
        return dead_letter.event
