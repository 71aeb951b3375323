"""An event is one line, or fails."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.stages.errors import BadEvent
from headrace.stages.files.output_file import LINE_ENCODERS

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(VALUES)
def test_json_is_one_line_that_holds_the_event(event: object) -> None:
    line = LINE_ENCODERS["json"](event).decode()
    assert line.endswith("\n")
    assert line.count("\n") == 1
    assert json.loads(line) == event


def test_json_is_short_and_as_people_write_it() -> None:
    assert LINE_ENCODERS["json"]({"a": [1, "é"]}) == '{"a":[1,"é"]}\n'.encode()


@pytest.mark.parametrize("event", [object(), float("nan"), float("inf"), {("a", 1): 2}, "\ud800"])
def test_what_json_has_no_word_for_fails(event: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        LINE_ENCODERS["json"](event)


@pytest.mark.parametrize(("event", "line"), [("a b", b"a b\n"), ("", b"\n"), (5, b"5\n"), ("é", b"\xc3\xa9\n")])
def test_text_is_the_event_as_text(event: object, line: bytes) -> None:
    assert LINE_ENCODERS["text"](event) == line


def test_text_of_several_lines_fails() -> None:
    with pytest.raises(BadEvent, match="use `encode: json`"):
        LINE_ENCODERS["text"]("a\nb")
