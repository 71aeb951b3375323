import uuid
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from ipaddress import IPv4Address
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.jobs.arguments import Codec, CodecError, is_json, shown


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


@dataclass(frozen=True)
class Box:
    content: Any


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
    except CodecError as refused:
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


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.datetimes()
    | st.dates()
    | st.decimals()
    | st.uuids()
    | st.sampled_from([Colour.RED, Level.LOW, Word.YES])
    | st.builds(Point, st.floats(), st.frozensets(st.text())),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.sets(st.integers(), max_size=3)
        | st.dictionaries(st.text() | st.integers() | st.none(), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=300)
@given(value=ANYTHING, hint=st.sampled_from([Any, dict, list, dict[str, Any], list[Any], Any | None, Box]))
def test_a_value_inside_any_comes_back_as_it_was_or_is_refused(value: object, hint: Any) -> None:
    codec = Codec(hint)
    if hint is Box:
        value = Box(value)
    elif hint not in {Any, Any | None}:
        value = [value] if "list" in str(hint) else {"value": value}
    try:
        found = codec.encoded(value)
    except CodecError as refused:
        unfit = refused
    else:
        assert codec.decoded(found) == value
        return
    assert unfit.why.startswith((",", ":"))


@pytest.mark.parametrize(
    ("value", "path", "why"),
    [
        ({"a": float("nan")}, ("a",), "which no JSON can hold"),
        ({"a": [1, {"b": float("inf")}]}, ("a", 1, "b"), "which no JSON can hold"),
        ({"t": datetime(2026, 11, 24, tzinfo=UTC)}, ("t",), "would come back as str"),
        ({"b": b"x"}, ("b",), "would come back as str"),
        ({"p": Point(1.0, frozenset())}, ("p",), "would come back as dict"),
        ({"k": {1: "one"}}, ("k",), "whose key 1 would come back as text"),
        ({"s": {1}}, ("s",), "would come back as list"),
    ],
)
@pytest.mark.parametrize("hint", [dict, dict[str, Any], Any])
def test_what_would_change_inside_a_dict_is_refused_at_its_place(
    value: object, path: tuple[object, ...], why: str, hint: Any
) -> None:
    with pytest.raises(CodecError) as refused:
        Codec(hint).encoded(value)
    assert refused.value.path == path
    assert why in refused.value.why


def test_a_tuple_inside_any_may_come_back_as_a_list() -> None:
    assert Codec(Any).encoded({"pair": (2, 3)}) == {"pair": [2, 3]}


@pytest.mark.parametrize("hint", [Any, list, dict, dict[str, Any]])
def test_what_is_nested_too_deep_is_refused_with_a_sentence(hint: Any) -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(CodecError) as refused:
        Codec(hint).encoded({"deep": deep} if "dict" in str(hint) else deep)
    assert "\n" not in f"{shown(refused.value.found)}{refused.value.why}"


class Shy:
    """A value that cannot be shown."""

    def __repr__(self) -> str:
        raise ValueError


@pytest.mark.parametrize("value", [10**5000, [10**5000], Shy()], ids=["int", "list", "repr"])
def test_a_value_whose_repr_raises_is_refused_with_a_sentence(value: object) -> None:
    with pytest.raises(CodecError) as refused:
        Codec(Any).encoded(value)
    assert shown(refused.value.found) == f"a {type(value).__name__}"


@given(text=st.text(st.characters(exclude_categories=())))
def test_text_is_json_unless_it_is_broken(text: str) -> None:
    assert is_json(text) == (text.encode(errors="replace").decode() == text)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_no_number_without_an_end_is_json(value: float) -> None:
    assert not is_json(value)
