"""Dead letters as plain values, for JSON documents of commands and of the listener alike."""

import json

from headrace.pipeline.acknowledgement.dead_letter import DeadLetter, Form


def letter_values(letter: DeadLetter, *, is_whole: bool) -> dict[str, object]:
    """Return a letter as plain values, times as ISO 8601, the traceback only where `is_whole`.

    `event` is the event itself where it was kept as JSON, and its text otherwise; `form` says which.
    """
    error: dict[str, object] = {"type": letter.error_type, "text": letter.error}
    return {
        "id": letter.id,
        "pipeline": letter.pipeline,
        "stage": letter.stage,
        "event": _event(letter),
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
    if letter.form is not Form.JSON:
        return letter.event
    try:
        return json.loads(letter.event)
    except ValueError:  # somebody else has changed the file
        return letter.event
