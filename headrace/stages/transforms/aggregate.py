"""Aggregates events in windows."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from math import inf
from typing import ClassVar, Final

from typing_extensions import override

from headrace.otp.gen_server import Timer
from headrace.pipeline.message import Message
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.stages.functions import data_of, derived
from headrace.stages.options import StageType
from headrace.stages.transforms.aggregate_options import LATE, AggregateOptions, ValueKeys
from headrace.stages.windows.aligned_windows import AlignedWindows, AllowedLateness, WindowSpec
from headrace.stages.windows.event_time import SECOND, SteadyClock, Timestamps
from headrace.stages.windows.group_windows import CountWindows, SessionWindows
from headrace.stages.windows.measures import Column, ColumnReader, Measure, MeasurePlan, Reading
from headrace.stages.windows.windows import ArrivalWatermark, Bounds, EventTimeWatermark, Watermark, Windows
from headrace.telemetry.counts import FamilySpec
from headrace.telemetry.events import LOG


def make_reader(options: AggregateOptions, wall: Callable[[], float]) -> ColumnReader:
    """Return the reader of the columns; values with the same expression share a column."""
    by = [Column(name, expression, is_number=False) for name, expression in options.by.items()]
    columns = list(_columns(options.values).values())
    ahead = inf if options.max_ahead is None else options.max_ahead
    return ColumnReader(options.time, by, columns, lambda: wall() + ahead)


def make_windows(options: AggregateOptions) -> Windows:
    """Return the windows of the options."""
    plan, bounds = _plan(options), Bounds(options.max_groups, options.max_windows)
    window, out_of_order = options.window, _microseconds(options.out_of_order)
    if window.count is not None:
        return CountWindows(plan, bounds, window.count)
    if window.session is not None:
        return SessionWindows(plan, bounds, _microseconds(window.session), out_of_order)
    size = _microseconds(window.tumbling or window.hopping or 0.0)
    every = size if window.every is None else _microseconds(window.every)
    lateness = AllowedLateness(out_of_order, _microseconds(options.lateness or 0.0))
    spec = WindowSpec(size, every, _microseconds(window.offset or 0.0))
    return AlignedWindows(plan, bounds, spec, lateness)


def _plan(options: AggregateOptions) -> MeasurePlan:
    positions = {key: position for position, key in enumerate(_columns(options.values))}
    measures = {}
    for name, value in options.values.items():
        if value == "count":
            measures[name] = Measure("count")
        else:
            measures[name] = Measure(value.kind, positions[_key(value)], value.at or 0.0)
    return MeasurePlan(list(options.by), measures)


def _columns(values: Mapping[str, object]) -> dict[tuple[str, bool], Column]:
    """Return the columns to read, by expression; a column has the name of the first value that uses it."""
    columns: dict[tuple[str, bool], Column] = {}
    for name, value in values.items():
        if isinstance(value, ValueKeys):
            text, is_number = _key(value)
            columns.setdefault((text, is_number), Column(name, value.expression, is_number))
    return columns


def _key(value: ValueKeys) -> tuple[str, bool]:
    return value.expression.text, value.kind != "distinct"


def _microseconds(seconds: float) -> int:
    return round(seconds * SECOND)


GROUPS: Final = FamilySpec("gauge", "headrace_aggregate_groups", "Groups kept, in all windows together.")
WINDOWS: Final = FamilySpec("gauge", "headrace_aggregate_windows", "Windows kept.")
CLOSED_EARLY: Final = FamilySpec(
    "counter",
    "headrace_aggregate_closed_early_total",
    "Windows closed early because `max_windows` or `max_groups` was reached.",
)

_LONGEST_SECONDS: Final = 86_400.0
"""The longest timer; it is set again when it ends before the window."""
_SHORTEST_SECONDS: Final = 0.001

_FULL: Final = (
    "stage %r reached `max_groups` or `max_windows`: it closes windows early, or counts events of new groups as "
    "overflow (logged once; headrace_aggregate_closed_early_total counts the windows); use groups with fewer values, "
    "or raise `max_groups` or `max_windows`"
)


class _Tick:
    """A message of the stage to itself: check whether a window closes."""


class Aggregate(ProducerConsumer[object, object], StageType):
    """Emits a result for each group of a window when the window closes; all open windows close after the last event.

    A result is a dict: `window_start` and `window_end`, the group's keys, the values, and its `revision`, from 1.
    Events that cannot be read fail alone. Late events are discarded, or, with `late: route`, emitted by the side output
    `late`, if a stage subscribes to it.
    """

    Options = AggregateOptions
    takes_messages = True
    known_discards = (LATE,)
    outputs_with: ClassVar[Mapping[str, str]] = {LATE: "late: route"}
    at_most_once = (
        "what is in its open windows is kept in memory alone, and is lost where it crashes or its OS process dies"
    )
    """Why this stage may lose events: they are done once they are in a window."""

    def __init__(self, options: AggregateOptions, wall: Callable[[], float] = time.time) -> None:
        """`wall` returns seconds since 1970."""
        self._options = options
        self.side_outputs = (LATE,) if options.late == "route" else ()
        self._reader = make_reader(options, wall)
        self._windows = make_windows(options)
        self._wall = wall
        self._watermark: Watermark
        self._loop: asyncio.AbstractEventLoop
        self._timer: Timer | None = None
        self._due = 0.0
        self._closed_early = 0
        self._waiting = 0
        self._has_logged_full = False

    @override
    def init(self) -> None:
        self._loop = loop = asyncio.get_running_loop()
        if self._options.time is None:
            self._watermark = ArrivalWatermark(SteadyClock(self._wall, loop.time))
        else:
            self._watermark = EventTimeWatermark(loop.time, self._options.idle)
        self._groups = self.metrics.declare(GROUPS)
        self._open = self.metrics.declare(WINDOWS)
        self._early = self.metrics.declare(CLOSED_EARLY)
        self._count()

    @override
    def handle_events(self, events: list[object]) -> list[object] | Awaitable[list[object]]:
        self._watermark.begin(self._windows)
        reading = self._read(events)
        late: Sequence[int] = ()
        if reading.keys:
            times = reading.times or Timestamps([self._watermark.timestamp()] * len(reading.keys))
            late = self._windows.take(times, reading.keys, reading.rows)
        self._watermark.taken(self._windows)
        results = self._results()
        if late and self.side_outputs:
            self._waiting = len(reading.keys) - len(late)
            self.emit_nowait(results)  # subscribers of results need not wait for those of late events
            return self._pass_by([events[reading.positions[at]] for at in late])
        self.discard(len(late), LATE)
        return results

    @override
    def handle_info(self, message: object) -> list[object]:
        if isinstance(message, _Tick):
            self._timer = None
            self._watermark.tick(self._windows, is_blocked=not any(self.demand_by_consumer().values()))
        return self._results()

    @override
    def handle_complete(self) -> list[object]:
        self._windows.close()
        return self._results()

    @override
    def terminate(self, reason: object) -> None:
        # The events of the current batch are counted with it.
        lost = max(0, self._windows.retained() - self._waiting)
        self.discard(lost, "crash" if isinstance(reason, BaseException) else "cancelled")

    def _read(self, events: list[object]) -> Reading:
        data: Sequence[object] = events
        if events and isinstance(events[0], Message):
            data = [data_of(event) for event in events]
        try:
            return self._reader.read(data)
        except Exception:  # noqa: BLE001 - the events are read one by one then, and only those that raise again fail
            return self._reader.read_each(data, lambda position, error: self.fail_event(events[position], error))

    async def _pass_by(self, late: list[object]) -> list[object]:
        """Emit late events, and do not count the wait as idle time; return no events."""
        emitted = await self.emit_to(LATE, [derived(event, data_of(event)) for event in late])
        self.discard(len(late) - emitted, LATE)
        self._watermark.taken(self._windows)
        self._waiting = 0
        return []

    def _results(self) -> list[object]:
        self._count()
        self._wait()
        return list[object](self._windows.results())

    def _count(self) -> None:
        kept = self._windows.statistics()
        self._groups.set((), kept.groups)
        self._open.set((), kept.windows)
        self._early.add((), kept.closed_early - self._closed_early)
        self._closed_early = kept.closed_early
        if (kept.closed_early or kept.overflows) and not self._has_logged_full:
            self._has_logged_full = True
            LOG.warning(_FULL, self.name)

    def _wait(self) -> None:
        """Set the timer for the next window that may close, unless it ends early enough."""
        seconds = self._watermark.wait_seconds(self._windows)
        if seconds is None:
            return
        seconds = min(max(seconds, _SHORTEST_SECONDS), _LONGEST_SECONDS)
        due = self._loop.time() + seconds
        if self._timer is not None:
            if self._due <= due:
                return
            self._timer.cancel()
        self._timer, self._due = self.send_after(seconds, _Tick()), due
