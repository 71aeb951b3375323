"""Makes lines of events: what `encode: json` and `encode: text` mean."""

from collections.abc import Callable, Mapping
from typing import Final, Literal

from headrace.event_json import to_json
from headrace.stages.errors import BadEvent

EncodeName = Literal["json", "text"]

LINE_BREAK: Final = "the event has a line break in its text, and would be several lines: use `encode: json`"


def _json_line(event: object) -> bytes:
    return f"{to_json(event)}\n".encode()


def _text_line(event: object) -> bytes:
    text = str(event)
    if "\n" in text:
        raise BadEvent(LINE_BREAK)
    return f"{text}\n".encode()


LINE_ENCODERS: Final[Mapping[EncodeName, Callable[[object], bytes]]] = {"json": _json_line, "text": _text_line}
"""Each makes one event one line, in UTF-8, with its line break; it raises for an event that cannot be one."""
