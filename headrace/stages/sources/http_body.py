"""Events of the body of a request: all of them, or a sentence that says what is wrong."""

import json
from dataclasses import dataclass
from typing import Final, Literal

from headrace.http.access import Answer
from headrace.stages.files.decoders import (
    MAX_DEPTH,
    MAX_VALUES,
    VALUE_BYTES,
    JsonDecoder,
    count_values,
    is_too_deep,
    refuse_constant,
)
from headrace.stages.files.line_splitter import BYTE_ORDER_MARK, LineSplitter

Decode = Literal["json", "ndjson"]

_JSON: Final = json.JSONDecoder(parse_constant=refuse_constant)
_TOO_DEEP: Final = Answer(413, f"The body nests lists and objects more than {MAX_DEPTH} deep: send flatter events.")


@dataclass(frozen=True, slots=True)
class BodyEvents:
    """The events of a body, and an estimate of the memory that they take."""

    events: list[object]
    size_bytes: int


def decode_body(body: bytes, decode: Decode, max_events: int, max_values: int = MAX_VALUES) -> BodyEvents | Answer:
    """Return the events in a body, or why it is refused as a whole.

    JSON is one event, or a list of events; of NDJSON each line that is not blank is one. Nothing is decoded of a body
    with more than `max_values` values and keys.
    """
    values = count_values(body, max_values)
    if values is None:
        return _too_many("values and keys", "max_values", max_values)
    if is_too_deep(body):
        return _TOO_DEEP
    events = _json_events(body, max_events) if decode == "json" else _line_events(body, max_events)
    return events if isinstance(events, Answer) else BodyEvents(events, len(body) + VALUE_BYTES * values)


def _json_events(body: bytes, max_events: int) -> list[object] | Answer:
    try:
        value = _JSON.decode(body.removeprefix(BYTE_ORDER_MARK).decode())
    except UnicodeDecodeError as error:
        return Answer(400, f"The body is not UTF-8 (byte {error.start + 1}).")
    except json.JSONDecodeError as error:
        return Answer(400, f"The body is not JSON ({error.msg}, line {error.lineno}, column {error.colno}).")
    except RecursionError:
        return _TOO_DEEP
    except ValueError as error:
        return Answer(400, f"The body is not JSON that can be read ({error}).")
    events = value if isinstance(value, list) else [value]
    return _too_many("events", "max_events", max_events) if len(events) > max_events else events


def _line_events(body: bytes, max_events: int) -> list[object] | Answer:
    # Counted before they are made: millions of short lines would take much more memory than the body.
    if body.removesuffix(b"\n").count(b"\n") >= max_events:
        return _too_many("lines", "max_events", max_events)
    splitter = LineSplitter(max(1, len(body)))
    decoded = JsonDecoder().decode([*splitter.split(body), *splitter.end()], 1)
    if decoded.refused:
        first = decoded.refused[0]
        others = len(decoded.refused) - 1
        more = f" (and {others} more lines)" if others else ""
        return Answer(400, f"Line {first.number}: {first.why}{more}; none of the lines was taken.")
    return decoded.events


def _too_many(what: str, option: str, most: int) -> Answer:
    return Answer(413, f"The body has more than {most} {what} ({option}): send it in pieces.")
