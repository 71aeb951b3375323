"""Durations, sizes and rates as text and numbers; the token bucket.

Every number has a unit: a number without one is refused, since a reader could not know its meaning. Reading and writing
are exact and independent of the locale.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction
from itertools import pairwise

from typing_extensions import override

from headrace.errors import HeadraceError

_SHOWN_CHARACTERS = 60  # enough to find the text in a file
_MAX_CHARACTERS = 400  # the longest float, written in full, has about 350

_DURATION_UNITS = {
    "w": Fraction(604_800),
    "d": Fraction(86_400),
    "h": Fraction(3_600),
    "m": Fraction(60),
    "s": Fraction(1),
    "ms": Fraction(1, 1_000),
    "us": Fraction(1, 1_000_000),
}
_SIZE_UNITS = {
    "B": Fraction(1),
    **{f"{prefix}B": Fraction(1000**power) for power, prefix in enumerate("kMGTP", start=1)},
    **{f"{prefix}iB": Fraction(1024**power) for power, prefix in enumerate("KMGTP", start=1)},
}

_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_PART = re.compile(rf"({_NUMBER})([A-Za-z]+)")
_ISO_DURATION = re.compile(
    rf"P(?:({_NUMBER})W)?(?:({_NUMBER})D)?(?:T(?=[0-9])(?:({_NUMBER})H)?(?:({_NUMBER})M)?(?:({_NUMBER})S)?)?"
)
_EXACT = Context(prec=1_000)


class UnitError(HeadraceError):
    """A duration, size or rate that cannot be read: `found` is the value, `hint` a valid one."""

    def __init__(self, found: object, why: str, hint: str) -> None:
        super().__init__(found, why, hint)
        self.found = found
        self.why = why
        self.hint = hint

    @override
    def __str__(self) -> str:
        return f"{_shown(self.found)} {self.why}: {self.hint}"


@dataclass(frozen=True, slots=True)
class _Scale:
    """A kind of quantity: its name, its units, and hints for invalid text and for numbers without a unit."""

    name: str
    units: Mapping[str, Fraction]
    hint: str
    bare_hint: str


_DURATION = _Scale(
    "a duration",
    _DURATION_UNITS,
    "write it with units, such as 250ms, 1s, 5m, 2h, 1d or 1h30m",
    "write {0}s for seconds, {0}ms for milliseconds or {0}m for minutes",
)
_SIZE = _Scale(
    "a size",
    _SIZE_UNITS,
    "write it with a unit, such as 512B, 64kB (64000) or 10MiB (10485760)",
    "write {0}B for bytes, {0}kB for thousands of bytes or {0}MiB for 1024 times 1024",
)
_RATE = _Scale(
    "a rate",
    _DURATION_UNITS,
    "write events per time, such as 100/s, 5/m or 10/250ms",
    "write {0}/s for events a second or {0}/m for events a minute",
)


@dataclass(frozen=True, slots=True)
class Rate:
    """`events` in each period; both numbers are above 0."""

    events: float
    period_seconds: float

    @property
    def per_second(self) -> float:
        """The rate as events in one second."""
        return self.events / self.period_seconds


def parse_duration(value: object) -> float:
    """Return seconds, from `250ms`, `1s`, `5m`, `2h`, `1d`, `1h30m` or ISO 8601 such as `PT5S`.

    The units are w, d, h, m, s, ms and us, the largest first. Raises `UnitError` for anything else, numbers included.

    >>> parse_duration("250ms"), parse_duration("1h30m"), parse_duration("PT1.5S")
    (0.25, 5400.0, 1.5)
    >>> parse_duration(30)
    Traceback (most recent call last):
    ...
    headrace.units.UnitError: 30 has no unit: write 30s for seconds, 30ms for milliseconds or 30m for minutes
    """
    text = _read_text(value, _DURATION)
    seconds = _iso_seconds(text) if text.startswith("P") else _added_up(text, _DURATION, text)
    return _as_float(seconds, text, _DURATION)


def parse_size(value: object) -> int:
    """Return bytes, from `512B`, `64kB` (thousands) or `10MiB` (1024 times 1024). Raises `UnitError` for anything else.

    >>> parse_size("10MiB"), parse_size("64kB"), parse_size("1.5KiB")
    (10485760, 64000, 1536)
    """
    text = _read_text(value, _SIZE)
    parts = _split(text, _SIZE, text)
    if len(parts) != 1:
        raise UnitError(text, "is not a size", _SIZE.hint)
    size = parts[0]
    if size.denominator != 1:
        raise UnitError(text, "is no whole number of bytes", _SIZE.hint)
    return int(size)


def parse_rate(value: object) -> Rate:
    """Return a rate, from `100/s`, `5/m` or `10/250ms`. Raises `UnitError` for anything else, and for a rate of 0.

    >>> parse_rate("10/250ms")
    Rate(events=10.0, period_seconds=0.25)
    >>> parse_rate("10/250ms").per_second
    40.0
    """
    text = _read_text(value, _RATE)
    count, slash, period = text.partition("/")
    if not slash or not re.fullmatch(_NUMBER, count):
        raise UnitError(text, "is not a rate", _RATE.hint)
    seconds = _added_up(period if period[:1].isdigit() else f"1{period}", _RATE, text)
    rate = Rate(_as_float(Fraction(count), text, _RATE), _as_float(seconds, text, _RATE))
    if rate.events == 0 or rate.period_seconds == 0:
        raise UnitError(text, "has a 0 in it", _RATE.hint)
    return rate


def format_duration(seconds: float) -> str:
    """Return the shortest exact text of a duration: `parse_duration` returns the same float.

    >>> format_duration(5400), format_duration(0.25), format_duration(90.5), format_duration(0)
    ('1h30m', '250ms', '1m30.5s', '0s')
    """
    if not (math.isfinite(seconds) and seconds >= 0):
        raise UnitError(seconds, "is not a duration", "a duration is finite and at least 0")
    rest = Decimal(repr(float(seconds)))
    if rest == 0:
        return "0s"
    if rest < 1:
        unit = "ms" if rest >= Decimal("0.001") else "us"
        return f"{_plain(_EXACT.divide(rest, _decimal(_DURATION_UNITS[unit])))}{unit}"
    written = ""
    for unit in ("d", "h", "m"):
        count, rest = _EXACT.divmod(rest, _decimal(_DURATION_UNITS[unit]))
        written += f"{count:f}{unit}" if count else ""
    return written + (f"{_plain(rest)}s" if rest else "")


def format_size(size_bytes: int) -> str:
    """Return the shortest exact text of a size: `parse_size` returns the same number.

    >>> format_size(10 * 1024 * 1024), format_size(64_000), format_size(1_001), format_size(0)
    ('10MiB', '64kB', '1001B', '0B')
    """
    if size_bytes < 0:
        raise UnitError(size_bytes, "is not a size", "a size is at least 0")
    exact = (f"{size_bytes // int(size)}{unit}" for unit, size in _SIZE_UNITS.items() if size_bytes % size == 0)
    return min(exact, key=len) if size_bytes else "0B"


def _read_text(value: object, scale: _Scale) -> str:
    """Return the text to parse. Raises `UnitError` for other types, and for a number without a unit."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise UnitError(value, "has no unit", scale.bare_hint.format(value) if 0 <= value < math.inf else scale.hint)
    if not isinstance(value, str):
        raise UnitError(value, f"is of type {type(value).__name__}", scale.hint)
    text = value.strip()
    if len(text) > _MAX_CHARACTERS:
        raise UnitError(text, f"is longer than {_MAX_CHARACTERS} characters", scale.hint)
    if re.fullmatch(_NUMBER, text):
        raise UnitError(text, "has no unit", scale.bare_hint.format(text))
    return text


def _split(text: str, scale: _Scale, found: str) -> list[Fraction]:
    """Return the number and unit of each part, such as `1h` and `30m`."""
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise UnitError(found, f"is not {scale.name}", scale.hint)
    for _, unit in parts:
        if unit not in scale.units:
            near = next(
                (f"did you mean {known}?" for known in scale.units if known.lower() == unit.lower()), scale.hint
            )
            raise UnitError(found, f"has the unknown unit {unit!r}", near)
    units = [scale.units[unit] for _, unit in parts]
    if any(unit <= following for unit, following in pairwise(units)):
        raise UnitError(
            found, "has its units in the wrong order", "write each unit once, the largest first, as in 1h30m"
        )
    return [Fraction(number) * unit for (number, _), unit in zip(parts, units, strict=True)]


def _added_up(text: str, scale: _Scale, found: str) -> Fraction:
    return sum(_split(text, scale, found), Fraction(0))


def _iso_seconds(text: str) -> Fraction:
    match = _ISO_DURATION.fullmatch(text)
    if match is None or not any(match.groups()):
        hint = "write weeks, days, hours, minutes and seconds, as in P1DT12H or PT1.5S; months and years vary in length"
        raise UnitError(text, "is not an ISO 8601 duration of fixed length", hint)
    counts = zip(match.groups(default="0"), "wdhms", strict=True)
    return sum((Fraction(count) * _DURATION_UNITS[unit] for count, unit in counts), Fraction(0))


def _as_float(number: Fraction, found: str, scale: _Scale) -> float:
    try:
        return float(number)
    except OverflowError:
        raise UnitError(found, "is too large", scale.hint) from None


def _decimal(number: Fraction) -> Decimal:
    return _EXACT.divide(Decimal(number.numerator), Decimal(number.denominator))


def _plain(number: Decimal) -> str:
    """Return a number without an exponent and without trailing zeros."""
    written = f"{number:f}"
    return written.rstrip("0").rstrip(".") if "." in written else written


def _shown(found: object) -> str:
    shown = repr(found)
    return shown if len(shown) <= _SHOWN_CHARACTERS else f"{shown[:_SHOWN_CHARACTERS]}..."


class TokenBucket:
    """A bucket of tokens that fills at an even rate and holds the events of one period, at least one.

    So a pause is not made up for at once. Guarantee: in any `t` seconds at most `rate * t` events and one bucket are
    taken. The bucket begins with one token.
    """

    def __init__(self, rate: Rate, now: float) -> None:
        """`now` and all later times are seconds of one clock that never goes back."""
        self._per_second = rate.per_second
        self._capacity = max(1.0, rate.events)
        self._tokens = 1.0
        self._at = now

    def take(self, wanted: int, now: float) -> int:
        """Take up to `wanted` whole tokens; return the number taken."""
        self._tokens = min(self._capacity, self._tokens + (now - self._at) * self._per_second)
        self._at = now
        taken = min(wanted, int(self._tokens))
        self._tokens -= taken
        return taken

    def wait_seconds(self) -> float:
        """Return the seconds from the last `take` to the next token."""
        return max(0.0, (1.0 - self._tokens) / self._per_second)
