"""Event values as JSON text, and as hashable keys.

Values that JSON lacks (dates, decimals, UUIDs) become text or numbers that programs and later stages can use. An event
that was written and read once gives the same text again.
"""

import base64
import json
from collections.abc import Callable, Hashable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from pathlib import PurePath
from typing import Final
from uuid import UUID

from typing_extensions import override

_KEY_SCALARS: Final = frozenset({str, int, float, bool, bytes, type(None)})


class ValueKey:
    """The key of a value without a hash: two keys are equal when their values are. The value must not change."""

    __slots__ = ("_frozen", "_hash", "value")

    def __init__(self, value: object) -> None:
        """Raises TypeError for an object that has only an identity, and RecursionError for deep nesting."""
        self.value = value
        self._frozen = _frozen(value)
        self._hash = hash(self._frozen)

    @override
    def __hash__(self) -> int:
        return self._hash

    @override
    def __eq__(self, other: object) -> bool:
        return isinstance(other, ValueKey) and self._frozen == other._frozen

    @override
    def __repr__(self) -> str:
        return repr(ordered(self.value))


def key_of(value: object) -> Hashable:
    """Return the key of a value: the value itself if it has a hash. Raises as `ValueKey`.

    >>> key_of("a"), key_of({"b": [1], "a": 2}) == key_of({"a": 2, "b": [1.0]})
    ('a', True)
    """
    if type(value) in _KEY_SCALARS:
        return value
    try:
        hash(value)
    except TypeError:
        return ValueKey(value)
    return value


def value_of(key: object) -> object:
    """Return the value of a key.

    >>> value_of(key_of([1]))
    [1]
    """
    return key.value if isinstance(key, ValueKey) else key


def ordered(value: object) -> object:
    """Return a value with its dicts sorted by key, so that equal values have the same `repr`."""
    if isinstance(value, dict):
        return {key: ordered(below) for key, below in sorted(value.items(), key=lambda item: repr(item[0]))}
    if type(value) is list or type(value) is tuple:
        return type(value)(map(ordered, value))
    return value


def _frozen(value: object) -> object:
    if isinstance(value, dict):
        return dict, frozenset((key, _frozen(below)) for key, below in value.items())
    if isinstance(value, list | tuple):
        return list if isinstance(value, list) else tuple, tuple(map(_frozen, value))
    if isinstance(value, set):
        return set, frozenset(value)
    hash(value)
    return value


_SCALARS: Final = frozenset({str, int, float, bool, type(None)})

_TEXTS: Final = (UUID, IPv4Address, IPv6Address, IPv4Interface, IPv6Interface, IPv4Network, IPv6Network, PurePath)

_READABLE: Final = (date, time, timedelta, Decimal, *_TEXTS[:-1])

MOST_DEPTH: Final = 100
"""A value nested deeper is not plain, since JSON readers may refuse it."""


def to_json(event: object) -> str:
    """Return an event as JSON text. Raises TypeError, ValueError or RecursionError for an event without JSON text.

    >>> to_json({"at": datetime(2026, 11, 24, 9, 30), "price": Decimal("12.50"), "tags": {"b", "a"}})
    '{"at":"2026-11-24T09:30:00","price":12.5,"tags":["a","b"]}'
    """
    return _ENCODER.encode(event)


def json_value(value: object) -> object:
    """Return the JSON form of a value whose class JSON lacks. Raises TypeError for an unknown class.

    Dates and times are ISO 8601 text, and durations are seconds. A decimal is a number if that keeps all its digits,
    else text. Bytes are base64, a set is a sorted list, an enum member is its value; UUIDs, paths and IP addresses are
    text.
    """
    for kinds, make in _MAKERS:
        if isinstance(value, kinds):
            return make(value)
    why = f"{type(value).__name__} has no form in JSON"
    raise TypeError(why)


def json_or_repr(value: object) -> object:
    """Return the JSON form of a value for display: an unknown class becomes its `repr`."""
    try:
        return json_value(value)
    except (TypeError, ValueError):
        return repr(value)


def is_plain(value: object) -> bool:
    """Return whether JSON gives a value back unchanged: dicts with text keys, lists, text, numbers, booleans, None.

    Instances of subclasses are not plain, nor values nested deeper than MOST_DEPTH.
    """
    return _contains_only(value, ())


def is_readable(value: object) -> bool:
    """Return whether JSON gives a value back unchanged, or as the JSON form of a database value.

    Such values are dates, times, durations, decimals, UUIDs and IP addresses. Not bytes, whose base64 would be taken
    for text; nor tuples, sets and objects of other classes, since code may depend on their class.
    """
    return _contains_only(value, _READABLE)


def as_plain(value: object) -> object:
    """Return a value as it comes back from JSON. Raises as `to_json`."""
    return value if is_plain(value) else json.loads(to_json(value))


def _contains_only(value: object, others: tuple[type, ...]) -> bool:
    waiting = [(value, 0)]
    while waiting:
        one, depth = waiting.pop()
        kind = type(one)
        if kind in _SCALARS or isinstance(one, others):
            continue
        if depth == MOST_DEPTH:
            return False
        if isinstance(one, dict) and kind is dict:
            if any(type(key) is not str for key in one):
                return False
            waiting.extend((below, depth + 1) for below in one.values())
        elif isinstance(one, list) and kind is list:
            waiting.extend((below, depth + 1) for below in one)
        else:
            return False
    return True


def _decimal(value: Decimal) -> float | int | str:
    """Return a decimal as a number if that keeps all its digits, else as text.

    >>> _decimal(Decimal("0.10")), _decimal(Decimal("7")), _decimal(Decimal("0.12345678901234567890"))
    (0.1, 7, '0.12345678901234567890')
    """
    if not value.is_finite():
        why = f"{value} is no number that JSON has"
        raise ValueError(why)
    if value == value.to_integral_value() and value.adjusted() < _INTEGER_DIGITS:
        return int(value)
    number = float(value)
    return number if Decimal(repr(number)) == value else str(value)


_INTEGER_DIGITS: Final = 40
"""A decimal with more digits before the point, such as 1E+999999, becomes text."""


def _sorted(value: set[object] | frozenset[object]) -> list[object]:
    try:
        return sorted(value)  # type: ignore[type-var] # values without an order raise
    except TypeError:
        return sorted(value, key=repr)


_MAKERS: Final[tuple[tuple[tuple[type, ...], Callable[..., object]], ...]] = (
    ((datetime, date, time), lambda value: value.isoformat()),
    ((Decimal,), _decimal),
    (_TEXTS, str),
    ((Enum,), lambda value: value.value),
    ((timedelta,), lambda value: value.total_seconds()),
    ((bytes, bytearray, memoryview), lambda value: base64.b64encode(value).decode("ascii")),
    ((set, frozenset), _sorted),
    ((Mapping,), dict),
)

_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=json_value)
