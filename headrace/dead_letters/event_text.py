"""Turns an event into text, and the text back into the event; pure."""

import base64
import json
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from headrace.dead_letters.dead_letter import EventForm, NewDeadLetter
from headrace.values import is_plain, is_readable, to_json

MOST_EVENT_BYTES: Final = 1024 * 1024
"""A longer event is cut, so that one dead letter does not displace a hundred others."""

MOST_TRACE_BYTES: Final = 16 * 1024
"""Only the end of a longer traceback is kept, since that says where the error was raised."""

MOST_ERROR_BYTES: Final = 4 * 1024

MOST_METADATA_BYTES: Final = 16 * 1024

OVERHEAD_BYTES: Final = 200
"""The size of a dead letter beside its texts: names, times, the row and its index entries."""

_CUT: Final = "… (cut: {} bytes in all)"


@dataclass(frozen=True, slots=True)
class EventText:
    """The texts of a dead letter, each within its limit."""

    event: str
    form: EventForm
    metadata: str
    error_type: str
    error: str
    traceback: str

    @property
    def size(self) -> int:
        """The bytes that it uses of the store's limit."""
        texts = (self.event, self.metadata, self.error_type, self.error, self.traceback)
        return OVERHEAD_BYTES + sum(len(text.encode()) for text in texts)


def to_event_text(dead_letter: NewDeadLetter, most_event_bytes: int = MOST_EVENT_BYTES) -> EventText:
    """Return the texts of a dead letter; an event longer than `most_event_bytes` is cut, with a note at its end."""
    event, form = written(dead_letter.event)
    if _size(event) > most_event_bytes:
        event, form = cut(event, most_event_bytes), EventForm.CUT
    return EventText(
        event,
        form,
        _metadata_text(dead_letter.metadata),
        clean(type(dead_letter.error).__name__),
        cut(dead_letter.redact(_described(dead_letter.error, str)), MOST_ERROR_BYTES),
        cut_begin(dead_letter.redact(_trace(dead_letter.error)), MOST_TRACE_BYTES),
    )


def written(event: object) -> tuple[str, EventForm]:
    """Return an event as text, and how it is written.

    A value that JSON cannot hold is replaced by text where a stage can use that as well: a date becomes text. An event
    with bytes inside, tuples, or objects of other classes is written as its `repr`.

    >>> from datetime import date
    >>> written({"total": 12.5, "on": date(2026, 11, 24)})
    ('{"total":12.5,"on":"2026-11-24"}', <EventForm.JSON: 'json'>)
    >>> written({"body": b"a"})
    ("{'body': b'a'}", <EventForm.REPR: 'repr'>)
    """
    if type(event) is bytes:
        return base64.b64encode(event).decode("ascii"), EventForm.BASE64
    if is_readable(event):
        try:
            text = to_json(event)
            text.encode()  # a file cannot hold half a surrogate pair
        except (TypeError, ValueError, RecursionError):
            pass
        else:
            return text, EventForm.JSON
    return _described(event, repr), EventForm.REPR


def read(text: str, form: EventForm) -> object:
    """Return the event of a text. Raises ValueError for a form that cannot be restored, and for broken text."""
    if form is EventForm.BASE64:
        return base64.b64decode(text, validate=True)
    if form is EventForm.JSON:
        return json.loads(text)
    raise ValueError(f"of the form {form.value!r} no event can be made")  # noqa: TRY003 - as json itself says it


def clean(text: str) -> str:
    """Return text that any file and terminal accepts: half a surrogate pair becomes a question mark.

    >>> clean("a" + chr(0xd800))
    'a?'
    """
    return text.encode("utf-8", "replace").decode()


def cut(text: str, most_bytes: int) -> str:
    """Return a text of at most `most_bytes`; of a longer text the beginning, with a note at the end.

    >>> cut("abcdef", 3), cut("abc", 3)
    ('abc… (cut: 6 bytes in all)', 'abc')
    """
    data = text.encode()
    if len(data) <= most_bytes:
        return text
    return data[:most_bytes].decode("utf-8", "ignore") + _CUT.format(len(data))


def cut_begin(text: str, most_bytes: int) -> str:
    """Return a text of at most `most_bytes`; of a longer one the end, behind a note."""
    data = text.encode()
    if len(data) <= most_bytes:
        return text
    return f"{_CUT.format(len(data))}\n" + data[-most_bytes:].decode("utf-8", "ignore")


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _described(value: object, describe: Callable[[object], str]) -> str:
    """Return `describe(value)`, or a text that says why it failed."""
    try:
        return clean(describe(value))
    except Exception as error:  # noqa: BLE001 - a description that fails must not lose the dead letter
        return f"<{type(value).__name__}, which cannot be described: {type(error).__name__}>"


def _trace(error: BaseException) -> str:
    try:
        return clean("".join(traceback.format_exception(error)))
    except Exception as other:  # noqa: BLE001 - as above
        return f"{type(error).__name__}, whose traceback cannot be shown: {type(other).__name__}"


def _metadata_text(metadata: Mapping[str, object]) -> str:
    """Return metadata as JSON, with a description of other values; where that is too long, only a note about it."""
    values = {str(key): value if is_plain(value) else _described(value, repr) for key, value in metadata.items()}
    try:
        text = clean(to_json(values))
    except (ValueError, RecursionError):
        text = to_json({key: _described(value, repr) for key, value in values.items()})
    if _size(text) <= MOST_METADATA_BYTES:
        return text
    return to_json({"cut": f"the metadata took {_size(text)} bytes"})
