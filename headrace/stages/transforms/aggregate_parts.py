"""Puts together what `aggregate` is made of, as its options say: what it reads of events, and its windows."""

from collections.abc import Callable, Mapping
from math import inf

from headrace.stages.transforms.aggregate_options import AggregateOptions, ValueKeys
from headrace.stages.windows.aligned_windows import AlignedWindows, Grid, Patience
from headrace.stages.windows.event_time import SECOND
from headrace.stages.windows.group_windows import CountWindows, SessionWindows
from headrace.stages.windows.measures import Column, Measure, Plan, Reader
from headrace.stages.windows.windows import Bounds, Windows


def make_reader(options: AggregateOptions, wall: Callable[[], float]) -> Reader:
    """Return what reads events; an expression that several values are computed of is read once."""
    by = [Column(name, expression, is_number=False) for name, expression in options.by.items()]
    columns = list(_columns(options.values).values())
    ahead = inf if options.max_ahead is None else options.max_ahead
    return Reader(options.time, by, columns, lambda: wall() + ahead)


def make_windows(options: AggregateOptions) -> Windows:
    """Return the windows."""
    plan, bounds = _plan(options), Bounds(options.max_groups, options.max_windows)
    window, out_of_order = options.window, _microseconds(options.out_of_order)
    if window.count is not None:
        return CountWindows(plan, bounds, window.count)
    if window.session is not None:
        return SessionWindows(plan, bounds, _microseconds(window.session), out_of_order)
    size = _microseconds(window.tumbling or window.hopping or 0.0)
    every = size if window.every is None else _microseconds(window.every)
    patience = Patience(out_of_order, _microseconds(options.lateness or 0.0))
    grid = Grid(size, every, _microseconds(window.offset or 0.0))
    return AlignedWindows(plan, bounds, grid, patience)


def _plan(options: AggregateOptions) -> Plan:
    places = {key: place for place, key in enumerate(_columns(options.values))}
    measures = {}
    for name, value in options.values.items():
        if value == "count":
            measures[name] = Measure("count")
        else:
            measures[name] = Measure(value.kind, places[_key(value)], value.at or 0.0)
    return Plan(list(options.by), measures)


def _columns(values: Mapping[str, object]) -> dict[tuple[str, bool], Column]:
    """Return the columns that are read, by what tells them apart; one is called by the first value that needs it."""
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
