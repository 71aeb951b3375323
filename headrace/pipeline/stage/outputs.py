"""What a callback may return as events, and what it surely did not mean."""

from collections.abc import Iterable
from typing import Final

from headrace.errors import BadOption, BadReturn

NOT_EVENTS: Final = (str, bytes, bytearray, dict)
"""Iterable, but surely one event rather than many."""


GENSTAGE_WORDS: Final = ("noreply", "reply", "stop")
"""With these a tuple is an answer of GenStage's, and surely not three events."""


def _is_genstage(returned: tuple[object, ...]) -> bool:
    return bool(returned) and isinstance(returned[0], str) and returned[0] in GENSTAGE_WORDS


def as_list(stage: str, callback: str, returned: object) -> list[object]:
    """Return what a callback returned as a list of events, or raise `BadReturn`."""
    if isinstance(returned, list):
        return returned
    if isinstance(returned, tuple) and _is_genstage(returned):
        raise BadReturn(stage, callback, returned, "the events alone: state is kept on self, and there is no reply")
    if isinstance(returned, Iterable) and not isinstance(returned, NOT_EVENTS):
        return list(returned)
    raise BadReturn(
        stage, callback, returned, "a list of events (empty when there are none), or another iterable of them"
    )


def events_given(events: object) -> list[object]:
    """Return a list of its own of the events that somebody hands in. Raises `BadOption` for what is surely one event.

    >>> events_given(range(3))
    [0, 1, 2]
    """
    if not isinstance(events, Iterable) or isinstance(events, NOT_EVENTS):
        raise BadOption("events", events, "a list of events, or another iterable of them: put a single one in a list")
    return list(events)


def check_nothing(stage: str, returned: object, callback: str = "handle_events") -> None:
    """Raise `BadReturn` when a consumer's callback returned something."""
    if returned is not None:
        raise BadReturn(stage, callback, returned, "None: a consumer emits nothing")
