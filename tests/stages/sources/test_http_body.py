"""What a body holds: all of its events, or one sentence."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.stages.http_server.answer import Answer
from headrace.stages.sources.http_body import Decode, decode_body

VALUES = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5)


@given(st.lists(VALUES))
def test_every_value_of_a_list_is_an_event(values: list[object]) -> None:
    assert decode_body(json.dumps(values).encode(), "json", 1000) == values


@given(st.lists(VALUES), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_every_line_is_an_event(values: list[object], end: str, is_ended: bool) -> None:  # noqa: FBT001 - drawn
    text = end.join(map(json.dumps, values)) + (end if is_ended else "")
    assert decode_body(text.encode(), "ndjson", 1000) == values


@given(st.binary(max_size=200), st.sampled_from(["json", "ndjson"]))
def test_any_bytes_are_events_or_refused(body: bytes, decode: Decode) -> None:
    found = decode_body(body, decode, 10)
    assert isinstance(found, Answer) or len(found) <= 10


@pytest.mark.parametrize(
    ("body", "decode", "status", "said"),
    [
        (b"", "json", 400, "The body is not JSON (Expecting value, line 1, column 1)."),
        (b'{"a":\n1,}', "json", 400, "line 2, column"),
        (b"\xff", "json", 400, "The body is not UTF-8 (byte 1)."),
        (b"NaN", "json", 400, "The body is not JSON that can be read (JSON has no NaN)."),
        (b"[" * 100_000, "json", 400, "The body is not JSON that can be read"),
        (b"[1,2,3]", "json", 413, "The body has more than 2 events (max_events): send it in pieces."),
        (b"1\n{\n3\n}", "ndjson", 413, "The body has more than 2 lines (max_events): send it in pieces."),
        (b"1\n{", "ndjson", 400, "Line 2: the line is not JSON (Expecting property name enclosed in double quotes"),
        (b"{\n}", "ndjson", 400, "(and 1 more lines); none of the lines was taken."),
    ],
)
def test_what_is_wrong_is_said_with_its_place(body: bytes, decode: Decode, status: int, said: str) -> None:
    found = decode_body(body, decode, 2)
    assert isinstance(found, Answer)
    assert found.status == status
    assert said in found.text


def test_an_object_is_one_event() -> None:
    assert decode_body(b'\xef\xbb\xbf{"a": 1}', "json", 1) == [{"a": 1}]
