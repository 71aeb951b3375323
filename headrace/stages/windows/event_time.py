"""Timestamps in microseconds; the steady clock."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from math import floor, isfinite
from typing import Final, cast

from headrace.stages.errors import BadEvent

SECOND: Final = 1_000_000
"""Microseconds."""

MIN_TIMESTAMP: Final = -(10**18)
"""Before all times and all bounds of windows."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LOWEST: Final = -30_610_224_000 * SECOND  # the year 1000: a window's bounds must be dates, too
_HIGHEST: Final = 221_845_392_000 * SECOND  # the year 9000
_FAR: Final = 1e18
"""Seconds, far beyond the latest valid time."""
_NUMBERS: Final = frozenset({int, float})
_TEXT: Final = frozenset({str})


class Timestamps:
    """The times of some events: the earliest, the latest, and, computed on demand, each of them.

    Most batches lie in one window: then the earliest and the latest are enough.
    """

    __slots__ = ("_convert", "_values", "count", "highest", "lowest")

    def __init__(self, values: Sequence[float], convert: Callable[[float], int] | None = None) -> None:
        """`values` are at least one finite number; `convert` turns one into microseconds, and keeps their order."""
        self._values = values
        self._convert = convert
        self.count = len(values)
        lowest, highest = min(values), max(values)
        self.lowest = int(lowest) if convert is None else convert(lowest)
        self.highest = int(highest) if convert is None else convert(highest)

    def each(self) -> list[int]:
        """Return the time of each event."""
        return list(self._values) if self._convert is None else list(map(self._convert, self._values))  # type: ignore[arg-type] # without `convert` they are ints


def read_timestamps(values: Sequence[object]) -> Timestamps:
    """Read times from ISO 8601 texts, seconds since 1970, or datetimes; without a zone they are UTC.

    `values` has at least one item. Raises `BadEvent` for the first value that is no time.

    >>> read_timestamps(["2017-01-01T11:53:26Z", 1483271606, 1483271606.25]).each()
    [1483271606000000, 1483271606000000, 1483271606250000]
    """
    timestamps = _of_numbers(values) or Timestamps(_of_texts(values) or [_timestamp(value) for value in values])
    for timestamp in (timestamps.lowest, timestamps.highest):
        if not _LOWEST <= timestamp <= _HIGHEST:
            _refuse(timestamp)
    return timestamps


def timestamp_text(timestamp: int) -> str:
    """Return a time as ISO 8601 text in UTC.

    >>> timestamp_text(1483271606000000), timestamp_text(1483271606250000)
    ('2017-01-01T11:53:26Z', '2017-01-01T11:53:26.250000Z')
    """
    return (_EPOCH + timedelta(microseconds=timestamp)).isoformat().replace("+00:00", "Z")


def _of_numbers(values: Sequence[object]) -> Timestamps | None:
    """Return the times if all values are finite numbers, in one step for the batch."""
    if not _NUMBERS.issuperset(map(type, values)):
        return None
    numbers = cast("Sequence[float]", values)
    try:
        return Timestamps(numbers, _of_number) if isfinite(sum(numbers)) else None
    except OverflowError:
        return None


def _of_number(seconds: float) -> int:
    return floor(seconds * 1e6 + 0.5)


def _of_texts(values: Sequence[object]) -> list[int] | None:
    """Return the times if all values are texts; equal texts, as in a busy second, are read once."""
    if not _TEXT.issuperset(map(type, values)):
        return None
    texts = cast("Sequence[str]", values)
    read = {text: _of_text(text) for text in dict.fromkeys(texts)}
    return [read[text] for text in texts]


def _timestamp(value: object) -> int:
    match value:
        case str():
            return _of_text(value)
        case datetime():
            return _of_datetime(value)
        case int() | float() if not isinstance(value, bool) and abs(value) < _FAR:
            return _of_number(value)
        case _:
            found = f"{value:g}" if isinstance(value, float) else f"of type {type(value).__name__}"
            why = f"the event's time is {found}, and must be ISO 8601 text or a number of seconds since 1970"
            raise BadEvent(why)


def _of_text(text: str) -> int:
    try:
        return _of_datetime(datetime.fromisoformat(text))
    except ValueError:
        why = f"the event's time {text[:60]!r} is no ISO 8601 text: for a number in a text, write float() around it"
    raise BadEvent(why)


def _of_datetime(value: datetime) -> int:
    since = (value if value.tzinfo is not None else value.replace(tzinfo=UTC)) - _EPOCH
    return (since.days * 86_400 + since.seconds) * SECOND + since.microseconds


def _refuse(timestamp: int) -> None:
    hint = "; divide milliseconds by 1000" if timestamp > 0 else ""
    why = f"the event's time, {timestamp // SECOND} seconds since 1970, is not within the years 1000 to 9000{hint}"
    raise BadEvent(why)


class SteadyClock:
    """Follows the wall clock forward; when the wall clock is set back, it advances by the monotonic clock.

    After the wall clock was set forward and back again, it stays ahead.
    """

    def __init__(self, wall: Callable[[], float], passed: Callable[[], float]) -> None:
        """`wall` returns seconds since 1970, `passed` seconds of a monotonic clock."""
        self._wall = wall
        self._passed = passed
        self._at = passed()
        self._now = wall()

    def now(self) -> int:
        """Return the microseconds since 1970."""
        at = self._passed()
        self._now = max(self._now + at - self._at, self._wall())
        self._at = at
        return int(self._now * SECOND)
