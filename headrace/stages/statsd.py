"""Parses StatsD packets, and keeps the values of gauges. Pure.

A line is `name:value|type`, then in any order `|@rate` and `|#tag:value,tag`; lines are separated by line breaks.
Several values may share a line (`name:1:2|ms`, DogStatsD 1.1); further fields of DogStatsD are ignored.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

COUNTER: Final = "c"
GAUGE: Final = "g"
SET: Final = "s"
TYPES: Final = frozenset({COUNTER, GAUGE, SET, "ms", "h", "d"})
"""Counter, gauge, set, timer in milliseconds, histogram, and DogStatsD's distribution."""

_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


@dataclass(frozen=True, slots=True)
class StatsdSample:
    """One value of one metric. A set's value is text; a counter's is divided by `rate`, the part that was sent.

    With `is_relative` the value is added to the gauge.
    """

    name: str
    type: str
    value: float | str
    rate: float = 1.0
    tags: Mapping[str, str] = field(default_factory=dict)
    is_relative: bool = False


@dataclass(frozen=True, slots=True)
class BadSample:
    """A line that is no metric, and the reason."""

    line: bytes
    why: str


NOT_UTF8: Final = "it is not UTF-8"
NOT_WRITTEN_SO: Final = "it is not written name:value|type"
UNKNOWN_TYPE: Final = f"it is not of a known type ({', '.join(sorted(TYPES))})"
NO_NUMBER: Final = "its value or sample rate is not a number"
NO_RATE: Final = "its sample rate is not above 0 and at most 1"
TOO_LARGE: Final = "its value is too large"


class _NotASample(ValueError):
    """The reason why a line is no sample."""


def parse_packet(packet: bytes) -> list[StatsdSample | BadSample]:
    """Return the samples of a packet, in order; empty lines have none.

    >>> parse_packet(b"hits:2|c|@0.5|#page:home,new")
    [StatsdSample(name='hits', type='c', value=4.0, rate=0.5, tags={'page': 'home', 'new': ''}, is_relative=False)]
    """
    found: list[StatsdSample | BadSample] = []
    for line in packet.splitlines():
        try:
            found.extend(_samples(line))
        except _NotASample as error:
            found.append(BadSample(line, str(error)))
    return found


def _samples(line: bytes) -> Iterator[StatsdSample]:
    if not line.strip():
        return
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise _NotASample(NOT_UTF8) from None
    name, colon, rest = text.partition(":")
    if not (name and colon):
        raise _NotASample(NOT_WRITTEN_SO)
    values, *fields = rest.split("|")
    kind = fields[0] if fields else ""
    if kind not in TYPES:
        raise _NotASample(UNKNOWN_TYPE)
    rate, tags = _rate(fields[1:]), _tags(fields[1:])
    if kind == SET:
        yield StatsdSample(name, kind, values, rate, tags)
        return
    for value in values.split(":"):
        number = _number(value) / rate if kind == COUNTER else _number(value)
        if not math.isfinite(number):
            raise _NotASample(TOO_LARGE)
        yield StatsdSample(name, kind, number, rate, tags, kind == GAUGE and value[0] in "+-")


def _number(text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise _NotASample(NO_NUMBER)
    return float(text)


def _rate(fields: list[str]) -> float:
    for found in fields:
        if found.startswith("@"):
            rate = _number(found[1:])
            if not 0 < rate <= 1:
                raise _NotASample(NO_RATE)
            return rate
    return 1.0


def _tags(fields: list[str]) -> dict[str, str]:
    tags: dict[str, str] = {}
    for found in fields:
        if found.startswith("#"):
            for tag in filter(None, found[1:].split(",")):
                key, _, value = tag.partition(":")
                tags[key] = value
    return tags


GAUGES_LIMIT: Final = 10_000
"""The most remembered gauges: a few megabytes."""

GaugeKey = tuple[str, tuple[tuple[str, str], ...]]


class Gauges:
    """The latest value of each gauge, by name and tags; as in StatsD, a new gauge is 0."""

    def __init__(self, limit: int = GAUGES_LIMIT) -> None:
        self._limit = limit
        self._values: dict[GaugeKey, float] = {}

    def set(self, name: str, tags: Mapping[str, str], value: float) -> float:
        """Set a gauge. Beyond the limit a new one is not remembered."""
        key = _key(name, tags)
        if key in self._values or len(self._values) < self._limit:
            self._values[key] = value
        return value

    def change(self, name: str, tags: Mapping[str, str], by: float) -> float | None:
        """Change a gauge; return its new value, or None for a new one beyond the limit."""
        key = _key(name, tags)
        value = self._values.get(key)
        if value is None and len(self._values) >= self._limit:
            return None
        self._values[key] = changed = (value or 0.0) + by
        return changed


def _key(name: str, tags: Mapping[str, str]) -> GaugeKey:
    return name, tuple(sorted(tags.items()))
