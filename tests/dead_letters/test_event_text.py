"""What is kept of an event that failed, and the event that is made of it again."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from enum import IntEnum
from typing import NamedTuple
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.dead_letters.dead_letter import REPLAYABLE, EventForm, NewDeadLetter
from headrace.dead_letters.event_text import (
    MOST_ERROR_BYTES,
    MOST_METADATA_BYTES,
    MOST_TRACE_BYTES,
    OVERHEAD_BYTES,
    clean,
    cut,
    read,
    to_event_text,
    written,
)
from headrace.values import MOST_DEPTH, is_plain
from tests.fakes.dead_letters import failed, letter

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.binary()
)
ANYTHING = st.recursive(
    SCALARS,
    lambda below: st.lists(below) | st.dictionaries(st.text() | st.integers(), below) | st.tuples(below, below),
    max_leaves=20,
)


class Pair(NamedTuple):
    key: str
    number: int


class Level(IntEnum):
    HIGH = 2


class Mute:
    def __repr__(self) -> str:
        raise RuntimeError


def _kinds(value: object) -> object:
    """Return a value with the kind of each of its parts: 1, 1.0 and true are equal, and not the same."""
    if isinstance(value, dict):
        return {key: _kinds(below) for key, below in value.items()}
    if isinstance(value, list):
        return [_kinds(below) for below in value]
    return type(value), value


@given(ANYTHING)
def test_what_is_replayable_comes_back_as_the_very_event(event: object) -> None:
    text, form = written(event)
    if form in REPLAYABLE:
        assert _kinds(read(text, form)) == _kinds(event)
    else:
        assert text == clean(repr(event))
        assert not is_plain(event) or "\\ud" in text


@given(ANYTHING)
def test_an_event_that_json_gives_back_is_written_as_json(event: object) -> None:
    if is_plain(event):
        text, form = written(event)
        assert form is EventForm.JSON or not _is_whole(event)
        assert json.loads(text) == event if form is EventForm.JSON else True


def _is_whole(event: object) -> bool:
    try:
        json.dumps(event, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def test_an_event_with_dates_and_decimals_comes_back_as_json_has_them() -> None:
    event = {"at": datetime(2026, 1, 1, tzinfo=UTC), "price": Decimal("12.50"), "id": UUID(int=1)}
    text, form = written(event)
    assert form is EventForm.JSON
    assert read(text, form) == {
        "at": "2026-01-01T00:00:00+00:00",
        "price": 12.5,
        "id": "00000000-0000-0000-0000-000000000001",
    }


@pytest.mark.parametrize(
    "event",
    [
        ("a", 1),
        Pair("a", 1),
        {1: "a"},
        {"a": Level.HIGH},
        {"a"},
        float("nan"),
        [float("inf")],
        [bytearray(b"a")],
        {"a": b"bytes within"},
        "half of \ud800",
    ],
    ids=repr,
)
def test_what_json_would_change_is_described_and_cannot_be_replayed(event: object) -> None:
    text, form = written(event)
    assert form is EventForm.REPR
    assert text == clean(repr(event))
    with pytest.raises(ValueError, match="no event can be made"):
        read(text, form)


def test_bytes_are_kept_as_they_are() -> None:
    text, form = written(b"\x00\xff")
    assert (text, form) == ("AP8=", EventForm.BASE64)
    assert read(text, form) == b"\x00\xff"


def test_what_nests_too_deep_or_holds_itself_is_described() -> None:
    deep: list[object] = []
    for _ in range(MOST_DEPTH + 1):
        deep = [deep]
    circle: list[object] = []
    circle.append(circle)
    assert written(deep)[1] is EventForm.REPR
    assert written(circle) == ("[[...]]", EventForm.REPR)


def test_an_event_that_has_no_words_for_itself_loses_no_letter() -> None:
    kept = to_event_text(letter(Mute()))
    assert kept.event == "<Mute, which cannot be described: RuntimeError>"
    assert kept.form is EventForm.REPR


def test_a_long_event_is_cut_with_a_mark_and_not_replayable() -> None:
    kept = to_event_text(letter("ä" * 100), most_event_bytes=51)
    assert kept.form is EventForm.CUT
    assert kept.event == '"' + "ä" * 25 + "… (cut: 202 bytes in all)"


def test_of_a_long_traceback_the_end_is_kept_and_of_a_long_error_the_beginning() -> None:
    kept = to_event_text(letter(error=failed(ValueError("begin" + "x" * 100_000 + "end"))))
    assert kept.error.startswith("begin")
    assert len(kept.error.encode()) < MOST_ERROR_BYTES + 100
    assert kept.traceback.endswith("end\n")
    assert kept.traceback.startswith("… (cut:")
    assert len(kept.traceback.encode()) < MOST_TRACE_BYTES + 100


def test_a_letter_names_the_error_and_where_it_was_raised() -> None:
    kept = to_event_text(letter())
    assert (kept.error_type, kept.error) == ("KeyError", "'total'")
    assert "dead_letters.py" in kept.traceback


def test_metadata_is_kept_as_json_and_described_where_it_is_none() -> None:
    error = failed(KeyError("total"))
    kept = to_event_text(
        NewDeadLetter("shop", "price", 1, error, metadata={"offset": 7, "at": datetime(2026, 1, 1, tzinfo=UTC)})
    )
    assert json.loads(kept.metadata)["offset"] == 7
    assert "2026" in json.loads(kept.metadata)["at"]


def test_too_much_metadata_is_left_out_and_said_so() -> None:
    error = failed(KeyError("total"))
    kept = to_event_text(NewDeadLetter("shop", "price", 1, error, metadata={"body": "x" * MOST_METADATA_BYTES}))
    assert json.loads(kept.metadata) == {"cut": "the metadata took 16395 bytes"}


@given(st.text(), st.integers(0, 100))
def test_what_is_cut_is_a_beginning_within_the_bound(text: str, most: int) -> None:
    kept = cut(text, most)
    if len(text.encode()) <= most:
        assert kept == text
    else:
        beginning = kept.partition("… (cut:")[0] if "… (cut:" not in text else kept[: kept.rindex("… (cut:")]
        assert text.startswith(beginning)
        assert len(beginning.encode()) <= most


def test_the_size_of_a_letter_counts_all_of_its_texts() -> None:
    kept = to_event_text(letter("ä"))
    assert kept.size == OVERHEAD_BYTES + 4 + 2 + len("KeyError") + len("'total'") + len(kept.traceback.encode())
