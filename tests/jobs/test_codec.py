import uuid
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from ipaddress import IPv4Address
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.jobs.codec import Codec, Unfit, is_json


class Colour(Enum):
    RED = "red"
    NONE = None


class Level(IntEnum):
    LOW = 1


class Word(StrEnum):
    YES = "yes"


@dataclass(frozen=True)
class Point:
    x: float
    tags: frozenset[str]


class Pair(NamedTuple):
    left: int
    right: str | None


HINTS: list[Any] = [
    int,
    float,
    str,
    bool,
    bytes,
    datetime,
    date,
    time,
    timedelta,
    Decimal,
    uuid.UUID,
    IPv4Address,
    Colour,
    Level,
    Word,
    Point,
    Pair,
    list[Decimal],
    dict[int, bytes],
    dict[str, float],
    set[date],
    frozenset[int],
    tuple[int, ...],
    int | str,
    str | Decimal,
    float | int | None,
    datetime | str | None,
    bytes | str,
    Point | Pair | None,
    list[int | str | None],
]

VALUES = st.sampled_from(HINTS).flatmap(lambda hint: st.tuples(st.just(hint), st.from_type(hint)))


@settings(max_examples=300)
@given(pair=VALUES)
def test_a_value_comes_back_as_it_was_or_is_refused(pair: tuple[Any, object]) -> None:
    hint, value = pair
    codec = Codec(hint)
    try:
        found = codec.encoded(value)
    except Unfit as refused:
        unfit = refused
    else:
        assert codec.decoded(found) == value
        return
    assert unfit.why.startswith((",", ":"))
    assert "\n" not in unfit.why


@given(value=st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_json_without_an_annotation_is_itself(value: object) -> None:
    codec = Codec(Any)
    assert codec.encoded(value) == codec.decoded(value) == value


@given(text=st.text(st.characters(exclude_categories=())))
def test_text_is_json_unless_it_is_broken(text: str) -> None:
    assert is_json(text) == (text.encode(errors="replace").decode() == text)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_no_number_without_an_end_is_json(value: float) -> None:
    assert not is_json(value)
