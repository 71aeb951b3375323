"""Times as whole microseconds since 1970, so that windows' bounds are exact: read from events, and written as text."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import floor
from typing import Final, cast

from headrace.stages.errors import BadEvent

SECOND: Final = 1_000_000
"""Microseconds."""

DAWN: Final = -(10**18)
"""Before all times, and all bounds of windows."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LOWEST: Final = -30_610_224_000 * SECOND  # the year 1000: a window's bounds must be dates, too
_HIGHEST: Final = 221_845_392_000 * SECOND  # the year 9000
_FAR: Final = 1e18
"""Seconds, many times as many as there may be."""
_NUMBERS: Final = frozenset({int, float})


def read_moments(values: Sequence[object]) -> list[int]:
    """Return the times that `values` say: ISO 8601 text, seconds since 1970, or datetimes; what has no zone is UTC.

    Raises `BadEvent` for the first that is none.

    >>> read_moments(["2017-01-01T11:53:26Z", 1483271606, 1483271606.25])
    [1483271606000000, 1483271606000000, 1483271606250000]
    """
    kinds = set(map(type, values))
    if kinds == {str}:
        moments = [_of_text(value) for value in cast("Sequence[str]", values)]
    else:
        try:
            moments = _of_numbers(cast("Sequence[float]", values)) if kinds <= _NUMBERS else list(map(_moment, values))
        except (OverflowError, ValueError):  # one of them is no time
            moments = list(map(_moment, values))
    for moment in (min(moments), max(moments)) if moments else ():
        if not _LOWEST <= moment <= _HIGHEST:
            _refuse(moment)
    return moments


def moment_text(moment: int) -> str:
    """Return a time as ISO 8601 text in UTC.

    >>> moment_text(1483271606000000), moment_text(1483271606250000)
    ('2017-01-01T11:53:26Z', '2017-01-01T11:53:26.250000Z')
    """
    return (_EPOCH + timedelta(microseconds=moment)).isoformat().replace("+00:00", "Z")


def _of_numbers(values: Sequence[float]) -> list[int]:
    return [floor(value * 1e6 + 0.5) for value in values]


def _moment(value: object) -> int:
    match value:
        case str():
            return _of_text(value)
        case datetime():
            return _of_datetime(value)
        case int() | float() if not isinstance(value, bool) and abs(value) < _FAR:
            return floor(value * 1e6 + 0.5)
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


def _refuse(moment: int) -> None:
    hint = "; divide milliseconds by 1000" if moment > 0 else ""
    why = f"the event's time, {moment // SECOND} seconds since 1970, is not within the years 1000 to 9000{hint}"
    raise BadEvent(why)
