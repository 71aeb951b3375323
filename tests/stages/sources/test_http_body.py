"""What a body holds: all of its events, or one sentence."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.http.access import HttpAnswer
from headrace.stages.sources.receive_http import BodyEvents, Decode, decode_body


def events_of(body: bytes, decode: Decode, max_events: int) -> list[object]:
    found = decode_body(body, decode, max_events)
    assert isinstance(found, BodyEvents)
    return found.events


VALUES = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5)


@given(st.lists(VALUES))
def test_every_value_of_a_list_is_an_event(values: list[object]) -> None:
    assert events_of(json.dumps(values).encode(), "json", 1000) == values


@given(st.lists(VALUES), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_every_line_is_an_event(values: list[object], end: str, is_ended: bool) -> None:  # noqa: FBT001 - drawn
    text = end.join(map(json.dumps, values)) + (end if is_ended else "")
    assert events_of(text.encode(), "ndjson", 1000) == values


@given(st.binary(max_size=200), st.sampled_from(["json", "ndjson"]))
def test_any_bytes_are_events_or_refused(body: bytes, decode: Decode) -> None:
    found = decode_body(body, decode, 10)
    assert isinstance(found, HttpAnswer) or len(found.events) <= 10


@pytest.mark.parametrize(
    ("body", "decode", "status", "said"),
    [
        (b"", "json", 400, "The body is not JSON (Expecting value, line 1, column 1)."),
        (b'{"a":\n1,}', "json", 400, "line 2, column"),
        (b"\xff", "json", 400, "The body is not UTF-8 (byte 1)."),
        (b"NaN", "json", 400, "The body is not JSON that can be read (JSON has no NaN)."),
        (b"[" * 100_000, "json", 413, "The body nests lists and objects more than 100 deep: send flatter events."),
        (b"[" + b'["]",' * 100_000, "json", 413, "The body nests lists and objects more than 100 deep"),
        (b'{"a": ' * 101 + b"1" + b"}" * 101, "ndjson", 413, "The body nests lists and objects more than 100 deep"),
        (b"[" + b"{}," * 3_000_000 + b"{}]", "json", 413, "more than 250000 values and keys (max_values)"),
        (b'{"a": [' + b"0," * 250_000 + b"0]}", "ndjson", 413, "more than 250000 values and keys (max_values)"),
        (b"[1,2,3]", "json", 413, "The body has more than 2 events (max_events): send it in pieces."),
        (b"1\n{\n3\n}", "ndjson", 413, "The body has more than 2 lines (max_events): send it in pieces."),
        (b"1\n{", "ndjson", 400, "Line 2: the line is not JSON (Expecting property name enclosed in double quotes"),
        (b"{\n}", "ndjson", 400, "(and 1 more lines); none of the lines was taken."),
    ],
)
def test_what_is_wrong_is_said_with_its_place(body: bytes, decode: Decode, status: int, said: str) -> None:
    found = decode_body(body, decode, 2)
    assert isinstance(found, HttpAnswer)
    assert found.status == status
    assert said in found.text


def test_an_object_is_one_event() -> None:
    assert events_of(b'\xef\xbb\xbf{"a": 1}', "json", 1) == [{"a": 1}]


def test_text_full_of_signs_is_one_value() -> None:
    text = "{[,:" * 250_000
    assert events_of(json.dumps(text).encode(), "json", 1) == [text]
