"""What is computed of the events of a window, and what a result looks like."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal, Protocol, Self, cast

from headrace.stages.windows.distinct_values import DistinctValues
from headrace.stages.windows.exact_sum import ExactSum
from headrace.stages.windows.extreme import Extreme
from headrace.stages.windows.moments import moment_text
from headrace.stages.windows.quantile_sketch import QuantileSketch
from headrace.value_key import value_of

Kind = Literal["count", "sum", "mean", "min", "max", "quantile", "distinct"]

OWN_KEYS: Final = ("window_start", "window_end", "revision")
"""What every result has, beside its groups and values."""

OVERFLOW: Final = "overflow"
"""What a result says for each of its groups where it holds all those for which there was no room."""

Row = object
"""What is read of one event: the value of the one column that there is; else a tuple, with a value for each column."""


class Accumulator(Protocol):
    """Takes in values in any order, and never grows beyond a bound."""

    def add(self, values: Sequence[object]) -> None:
        """Take in at least one value."""

    def merge(self, other: Self) -> None:
        """Take in all that another took in."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One value of a result: its kind, the column that it is computed of (a count has none), and a quantile's `at`."""

    kind: Kind
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


class Plan:
    """Makes what is kept of a group, and the results. Measures that can share what is kept do."""

    def __init__(self, by: Sequence[str], measures: Mapping[str, Measure]) -> None:
        """`by` names the groups' keys: a group's key is a value where there is one, and else a tuple of them."""
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
        """Return what is kept of a new group."""
        return [make() for make in self._makers]

    def fold(self, cell: "Cell") -> None:
        """Take what waits in a cell into what is kept."""
        rows = cell.rows
        if not rows:
            return
        values = [rows] if self._has_one_column else list(zip(*cast("list[tuple[object, ...]]", rows), strict=True))
        for accumulator, column in zip(cell.accumulators, self._columns, strict=True):
            accumulator.add(values[column])
        cell.count += len(rows)
        rows.clear()

    def results(self, start: int, end: int, cells: "Mapping[object, Cell]") -> list[dict[str, object]]:
        """Return the results of one window, each with a revision one higher than the one before."""
        bounds = {"window_start": moment_text(start), "window_end": moment_text(end)}
        return [self._result(bounds, key, cell) for key, cell in cells.items()]

    def _result(self, bounds: Mapping[str, object], key: object, cell: "Cell") -> dict[str, object]:
        self.fold(cell)
        cell.revision += 1
        result = {**bounds, **self._groups(key)}
        for name, read in self._reads:
            result[name] = read(cell.accumulators, cell.count)
        result["revision"] = cell.revision
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


class Cell:
    """One group in one window: what is kept of its events, and those that wait to be taken into that, as rows.

    Taking in many at once costs a fraction of taking in each; `add_row` is for those who count what waits.
    """

    __slots__ = ("accumulators", "add_row", "count", "revision", "rows")

    def __init__(self, accumulators: list[Accumulator]) -> None:
        self.accumulators = accumulators
        self.count = 0
        self.revision = 0
        self.rows: list[Row] = []
        self.add_row = self.rows.append

    @property
    def held(self) -> int:
        """How many events it has had."""
        return self.count + len(self.rows)

    def merge(self, other: "Cell") -> None:
        """Take in another cell; what waits in either goes on waiting."""
        self.count += other.count
        self.rows.extend(other.rows)
        if other.count:
            for mine, its in zip(self.accumulators, other.accumulators, strict=True):
                mine.merge(its)
