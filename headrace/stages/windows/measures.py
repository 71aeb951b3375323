"""The columns that a window reads from events, and the values it computes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from typing import Final, Literal, Protocol, Self, cast

from headrace.expressions import Expression
from headrace.stages.errors import BadEvent
from headrace.stages.windows.accumulators import DistinctValues, ExactSum, Extreme, QuantileSketch, numbers
from headrace.stages.windows.event_time import SECOND, Timestamps, read_timestamps, timestamp_text
from headrace.values import key_of, value_of

MeasureKind = Literal["count", "sum", "mean", "min", "max", "quantile", "distinct"]

OWN_KEYS: Final = ("window_start", "window_end", "revision")
"""The keys that every result has beside its groups and values."""

OVERFLOW: Final = "overflow"
"""The group of a result for all groups beyond the limit."""

ResultRow = object
"""The columns read from one event: the value of a single column, else a tuple of values."""


class Accumulator(Protocol):
    """Accumulates values in any order, in bounded memory."""

    def add(self, values: Sequence[object]) -> None:
        """Add at least one value."""

    def merge(self, other: Self) -> None:
        """Add the values of another accumulator."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One value of a result: its kind, its column (a count has none), and the `at` of a quantile."""

    kind: MeasureKind
    column: int = 0
    at: float = 0.0


_Make = Callable[[], Accumulator]
_Read = Callable[[Sequence[Accumulator], int], object]

_MAKERS: Final[Mapping[str, _Make]] = {
    "sum": ExactSum,
    "min": cast("_Make", partial(Extreme, min)),
    "max": cast("_Make", partial(Extreme, max)),
    "quantile": QuantileSketch,
    "distinct": DistinctValues,
}


class MeasurePlan:
    """Makes the accumulators of a group, which measures share where they can, and the results."""

    def __init__(self, by: Sequence[str], measures: Mapping[str, Measure]) -> None:
        """`by` has the names of the group keys. The key of a group is one value, or a tuple for several names."""
        self._by = tuple(by)
        self._reads: list[tuple[str, _Read]] = []
        self._kept: dict[tuple[str, int], int] = {}
        for name, measure in measures.items():
            self._reads.append((name, self._read(measure)))
        self._makers = [_MAKERS[kind] for kind, _ in self._kept]
        self._columns = [column for _, column in self._kept]
        self._has_one_column = len(set(self._columns)) == 1
        self.overflow: object = OVERFLOW if len(self._by) == 1 else (OVERFLOW,) * len(self._by)

    def accumulators(self) -> list[Accumulator]:
        """Return the accumulators of a new group."""
        return [make() for make in self._makers]

    def fold(self, group: "GroupState") -> None:
        """Add the waiting rows of a group to its accumulators."""
        rows = group.rows
        if not rows:
            return
        values = [rows] if self._has_one_column else list(zip(*cast("list[tuple[object, ...]]", rows), strict=True))
        for accumulator, column in zip(group.accumulators, self._columns, strict=True):
            accumulator.add(values[column])
        group.count += len(rows)
        rows.clear()

    def results(self, start: int, end: int, cells: "Mapping[object, GroupState]") -> list[dict[str, object]]:
        """Return the results of one window, each with the next revision."""
        bounds = {"window_start": timestamp_text(start), "window_end": timestamp_text(end)}
        return [self._result(bounds, key, group) for key, group in cells.items()]

    def _result(self, bounds: Mapping[str, object], key: object, group: "GroupState") -> dict[str, object]:
        self.fold(group)
        group.revision += 1
        result = {**bounds, **self._groups(key)}
        for name, read in self._reads:
            result[name] = read(group.accumulators, group.count)
        result["revision"] = group.revision
        return result

    def _groups(self, key: object) -> dict[str, object]:
        if len(self._by) == 1:
            return {self._by[0]: value_of(key)}
        return dict(zip(self._by, map(value_of, cast("tuple[object, ...]", key)), strict=True))

    def _read(self, measure: Measure) -> _Read:
        kind = measure.kind
        if kind == "count":
            return lambda _, count: count
        kept = ("sum" if kind == "mean" else kind, measure.column)
        index = self._kept.setdefault(kept, len(self._kept))
        match kind:
            case "sum":
                return lambda kept, _: cast("ExactSum", kept[index]).total()
            case "mean":
                return lambda kept, count: cast("ExactSum", kept[index]).mean(count)
            case "min" | "max":
                return lambda kept, _: cast("Extreme", kept[index]).number
            case "quantile":
                return lambda kept, _: cast("QuantileSketch", kept[index]).quantile(measure.at)
            case "distinct":
                return lambda kept, _: cast("DistinctValues", kept[index]).count()


class GroupState:
    """One group in one window: its accumulators, and rows that wait to be added to them.

    Adding many rows in one step costs a fraction of adding each. The caller of `add_row` counts the waiting rows.
    """

    __slots__ = ("accumulators", "add_row", "count", "revision", "rows")

    def __init__(self, accumulators: list[Accumulator]) -> None:
        self.accumulators = accumulators
        self.count = 0
        self.revision = 0
        self.rows: list[ResultRow] = []
        self.add_row = self.rows.append

    @property
    def retained(self) -> int:
        """The number of its events."""
        return self.count + len(self.rows)

    def merge(self, other: "GroupState") -> None:
        """Add another group state; its waiting rows keep waiting."""
        self.count += other.count
        self.rows.extend(other.rows)
        if other.count:
            for mine, its in zip(self.accumulators, other.accumulators, strict=True):
                mine.merge(its)


_PLAIN: Final = frozenset({str, int, bool, bytes, type(None)})
"""Types whose values are all hashable."""


@dataclass(frozen=True, slots=True)
class Column:
    """One value of each event, under a name: a number with `is_number`, else any hashable value."""

    name: str
    value: Expression
    is_number: bool

    def read(self, events: Sequence[object]) -> list[object]:
        """Return the values. Raises `BadEvent` or `EvaluationError` for an invalid value."""
        values = self.value.column(events)
        return numbers(values, self.name) if self.is_number else hashable(values, self.name)


@dataclass(frozen=True, slots=True)
class Reading:
    """The times (None without `time`), keys and rows of the events at `positions`."""

    positions: Sequence[int]
    times: Timestamps | None
    keys: Sequence[object]
    rows: Sequence[ResultRow]


class ColumnReader:
    """Reads events: `time`, if there is one, the groups `by`, and columns."""

    def __init__(
        self,
        time: Expression | None,
        by: Sequence[Column],
        columns: Sequence[Column],
        latest: Callable[[], float] = lambda: inf,
    ) -> None:
        """`latest` returns the latest valid time of an event, in seconds since 1970."""
        self._time = time
        self._latest = latest
        self._by = tuple(by)
        self._columns = tuple(columns)

    def read(self, events: Sequence[object]) -> Reading:
        """Read events. Raises `BadEvent` or `EvaluationError` if one of them does not fit."""
        times = None if self._time is None or not events else self._times(self._time, events)
        groups = [column.read(events) for column in self._by]
        values = [column.read(events) for column in self._columns]
        return Reading(range(len(events)), times, _rows(groups, len(events)), _rows(values, len(events)))

    def _times(self, time: Expression, events: Sequence[object]) -> Timestamps:
        times = read_timestamps(time.column(events))
        if times.highest > self._latest() * SECOND:
            why = f"the event's time, {timestamp_text(times.highest)}, is further ahead of the clock than `max_ahead`"
            raise BadEvent(why)
        return times

    def read_each(self, events: Sequence[object], fail: Callable[[int, Exception], None]) -> Reading:
        """Read one event at a time; report an event that cannot be read with its position, and skip it."""
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
    """Return values as hashable keys. Raises `BadEvent` for the first value that has none."""
    if _PLAIN.issuperset(map(type, values)):
        return values
    return [_key(value, called) for value in values]


def _key(value: object, called: str) -> object:
    try:
        return key_of(value)
    except (TypeError, RecursionError):
        why = f"the value of {called} is of type {type(value).__name__}, and cannot be told from others: "
    raise BadEvent(why + "write str() around it")


def _rows(columns: Sequence[list[object]], count: int) -> Sequence[ResultRow]:
    """Return one value for each event of a single column, else tuples."""
    if len(columns) == 1:
        return columns[0]
    return list(zip(*columns, strict=True)) if columns else [()] * count
