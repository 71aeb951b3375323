"""Dead letters as plain values, for JSON documents of commands and of the listener alike."""

import json
from typing import Final

from headrace.pipeline.acknowledgement.dead_letter import DeadLetter, EventForm

LIST_CHARACTERS: Final = 4096
"""What a list shows of one event: a page of the longest ones would not fit in memory else."""


def letter_values(letter: DeadLetter, *, is_whole: bool) -> dict[str, object]:
    """Return a letter as plain values, times as ISO 8601, the traceback only where `is_whole`.

    `event` is the event itself where it was kept as JSON, and its text otherwise, or the beginning of that where it
    `is_shortened`; `form` says how it is kept.
    """
    error: dict[str, object] = {"type": letter.error_type, "text": letter.error}
    return {
        "id": letter.id,
        "pipeline": letter.pipeline,
        "stage": letter.stage,
        "event": _event(letter),
        "is_shortened": letter.is_shortened,
        "form": letter.form.value,
        "is_replayable": letter.is_replayable,
        "metadata": letter.metadata,
        "error": {**error, "traceback": letter.traceback} if is_whole else error,
        "attempts": letter.attempts,
        "at": letter.at.isoformat(),
        "size_bytes": letter.size,
        "replay_at": None if letter.replay_at is None else letter.replay_at.isoformat(),
        "is_taken": letter.is_taken,
    }


def _event(letter: DeadLetter) -> object:
    if letter.form is not EventForm.JSON or letter.is_shortened:
        return letter.event
    try:
        return json.loads(letter.event)
    except ValueError:  # somebody else has changed the file
        return letter.event
