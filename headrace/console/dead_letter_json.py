"""Dead letters as plain values, for JSON documents of commands and of the listener alike."""

import json
from typing import Final

from headrace.pipeline.acknowledgement.dead_letter import DeadLetter, EventForm

LIST_CHARACTERS: Final = 4096
"""How much of one event a list shows: a page of the longest ones would not fit in memory."""


def dead_letter_json(dead_letter: DeadLetter, *, is_whole: bool) -> dict[str, object]:
    """Return a dead letter as plain values, times as ISO 8601, the traceback only where `is_whole`.

    `event` is the event itself where it was kept as JSON, and its text otherwise, or the beginning of that where it
    `is_shortened`; `form` says how it is kept.
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
    except ValueError:  # somebody else has changed the file
        return dead_letter.event
