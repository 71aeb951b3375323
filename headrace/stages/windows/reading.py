"""What is read of events, whole batches at a time: their times, their groups, and the values that are computed with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Final

from headrace.expressions import Expression
from headrace.stages.errors import BadEvent
from headrace.stages.windows.moments import SECOND, Moments, moment_text, read_moments
from headrace.stages.windows.numbers import numbers
from headrace.stages.windows.plan import Row
from headrace.value_key import key_of

_PLAIN: Final = frozenset({str, int, bool, bytes, type(None)})
"""Types of which all values can be hashed."""


@dataclass(frozen=True, slots=True)
class Column:
    """One value of each event, called by a name; a number where `is_number`, else anything that can be hashed."""

    name: str
    value: Expression
    is_number: bool

    def read(self, events: Sequence[object]) -> list[object]:
        """Return the values. Raises `BadEvent` or `EvaluationError` if one of them does not fit."""
        values = self.value.column(events)
        return numbers(values, self.name) if self.is_number else hashable(values, self.name)


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read of the events at `positions`, one of each; `times`, in microseconds, is None where none is said."""

    positions: Sequence[int]
    times: Moments | None
    keys: Sequence[object]
    rows: Sequence[Row]


class Reader:
    """Reads events: `time`, if there is one, the groups `by`, and columns."""

    def __init__(
        self,
        time: Expression | None,
        by: Sequence[Column],
        columns: Sequence[Column],
        latest: Callable[[], float] = lambda: inf,
    ) -> None:
        """`latest` tells the time, in seconds since 1970, after which no event can have happened."""
        self._time = time
        self._latest = latest
        self._by = tuple(by)
        self._columns = tuple(columns)

    def read(self, events: Sequence[object]) -> Reading:
        """Return what the events say. Raises `BadEvent` or `EvaluationError` if one of them does not fit."""
        times = None if self._time is None or not events else self._times(self._time, events)
        groups = [column.read(events) for column in self._by]
        values = [column.read(events) for column in self._columns]
        return Reading(range(len(events)), times, _rows(groups, len(events)), _rows(values, len(events)))

    def _times(self, time: Expression, events: Sequence[object]) -> Moments:
        times = read_moments(time.column(events))
        if times.highest > self._latest() * SECOND:
            why = f"the event's time, {moment_text(times.highest)}, is further ahead of the clock than `max_ahead`"
            raise BadEvent(why)
        return times

    def read_each(self, events: Sequence[object], fail: Callable[[int, Exception], None]) -> Reading:
        """As `read`, one event at a time; what is wrong with one is told, with its position, and it is left out."""
        kept = []
        for position, event in enumerate(events):
            try:
                self.read([event])
            except Exception as error:  # noqa: BLE001 - it fails this event alone
                fail(position, error)
            else:
                kept.append(position)
        return replace(self.read([events[position] for position in kept]), positions=kept)


def hashable(values: list[object], called: str) -> list[object]:
    """Return values that can be told from others, as keys. Raises `BadEvent` for the first that cannot."""
    if _PLAIN.issuperset(map(type, values)):
        return values
    return [_key(value, called) for value in values]


def _key(value: object, called: str) -> object:
    try:
        return key_of(value)
    except (TypeError, RecursionError):
        why = f"the value of {called} is of type {type(value).__name__}, and cannot be told from others: "
    raise BadEvent(why + "write str() around it")


def _rows(columns: Sequence[list[object]], count: int) -> Sequence[Row]:
    """Return one value for each event where there is one column, and else tuples."""
    if len(columns) == 1:
        return columns[0]
    return list(zip(*columns, strict=True)) if columns else [()] * count
