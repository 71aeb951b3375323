"""Events are written as JSON by one encoder, also where they hold what JSON has no word for."""

import json
import math
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from ipaddress import ip_address
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.values import as_plain, is_plain, is_readable, to_json

UUID_1 = UUID(int=1)


class Colour(Enum):
    """Not a subclass of text."""

    RED = "red"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (datetime(2026, 11, 24, 9, 30, tzinfo=UTC), '"2026-11-24T09:30:00+00:00"'),
        (date(2026, 11, 24), '"2026-11-24"'),
        (time(9, 30), '"09:30:00"'),
        (timedelta(minutes=1.5), "90.0"),
        (Decimal("12.50"), "12.5"),
        (Decimal("0.12345678901234567890"), '"0.12345678901234567890"'),
        (Decimal(12345678901234567890), "12345678901234567890"),
        (Decimal("1E+999999"), '"1E+999999"'),
        (UUID_1, '"00000000-0000-0000-0000-000000000001"'),
        (b"\xff\x00", '"/wA="'),
        (Colour.RED, '"red"'),
        ({3, 1, 2}, "[1,2,3]"),
        (frozenset({1, "a"}), '["a",1]'),
        ((1, "ü"), '[1,"ü"]'),
        (Path("a/b"), '"a/b"'),
        (ip_address("::1"), '"::1"'),
    ],
)
def test_a_value_has_one_form_wherever_it_stands(value: object, text: str) -> None:
    assert to_json(value) == text
    assert to_json([{"a": value}]) == f'[{{"a":{text}}}]'


@pytest.mark.parametrize("value", [object(), math.nan, Decimal("NaN"), {date.min: 1}, 1j])
def test_what_has_no_form_is_refused(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        to_json(value)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.datetimes()
    | st.dates()
    | st.timedeltas()
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.uuids()
    | st.binary()
    | st.frozensets(st.integers()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
)


@given(values)
def test_what_is_written_and_read_is_written_alike_again(value: object) -> None:
    text = to_json(value)
    back = json.loads(text)
    assert to_json(back) == text
    assert is_plain(back)
    assert as_plain(value) == back


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_no_digit_of_a_decimal_is_lost(value: Decimal) -> None:
    back = json.loads(to_json(value))
    assert Decimal(repr(back) if isinstance(back, float) else back) == value


def test_bytes_within_an_event_are_not_taken_for_text() -> None:
    assert not is_readable({"body": b"a"})
    assert is_readable({"at": date.min, "of": [UUID_1, Decimal(1)]})
    assert not is_readable({"of": (1, 2)})
