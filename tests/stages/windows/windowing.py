"""Windows as a few lines of plain Python, one event at a time, to compare the real ones with; and events for them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from headrace.stages.windows.aligned_windows import AllowedLateness, WindowSpec
from headrace.stages.windows.event_time import Timestamps
from headrace.stages.windows.measures import Measure, MeasurePlan
from headrace.stages.windows.windows import Windows

BY_TEAM = MeasurePlan(["team"], {"n": Measure("count"), "sum": Measure("sum", 0)})
"""Counts and sums the one column of each team."""

Event = tuple[int, str, int]
"""When, whose and how much."""

Found = dict[tuple[object, ...], tuple[int, int]]
"""Count and sum by start, end and team, of the last revision."""


def take(windows: Windows, events: Sequence[Event], sizes: Iterable[int] = ()) -> list[int]:
    """Hand over events, in batches of some sizes and then the rest; return the positions of late ones."""
    late: list[int] = []
    begin = 0
    for size in [*sizes, len(events)]:
        batch = events[begin : begin + size]
        if not batch:
            continue
        found = windows.take(
            Timestamps([at for at, _, _ in batch]), [team for _, team, _ in batch], [n for _, _, n in batch]
        )
        late += [begin + position for position in found]
        begin += len(batch)
    return late


def found(results: Iterable[dict[str, object]]) -> list[tuple[object, ...]]:
    """Return results as tuples that can be sorted."""
    keys = ("window_start", "window_end", "team", "n", "sum", "revision")
    return sorted(tuple(result[key] for key in keys) for result in results)


@dataclass
class Told:
    """What plain Python says: the results, and the positions of late events."""

    results: dict[tuple[int, int, str], tuple[int, int]]
    late: list[int]


def aligned(spec: WindowSpec, allowed: AllowedLateness, events: Iterable[Event]) -> Told:
    """Put each event into its windows, one at a time."""
    watermark = -(10**18)
    told = Told({}, [])
    for position, (at, team, n) in enumerate(events):
        last = at - (at - spec.offset) % spec.every
        starts = [last - back * spec.every for back in range(spec.most)]
        mine = [start for start in starts if start + spec.size > at]
        taking = [start for start in mine if start + spec.size + allowed.lateness > watermark]
        for start in taking:
            count, total = told.results.get((start, start + spec.size, team), (0, 0))
            told.results[start, start + spec.size, team] = (count + 1, total + n)
        if not taking:
            told.late.append(position)
        watermark = max(watermark, at - allowed.out_of_order)
    return told


def sessions(gap: int, events: Iterable[Event]) -> dict[tuple[int, int, str], tuple[int, int]]:
    """Join each team's events, in the order of their times."""
    told: list[list[object]] = []
    by_team: dict[str, list[tuple[int, int]]] = {}
    for at, team, n in events:
        by_team.setdefault(team, []).append((at, n))
    for team, ones in by_team.items():
        last = -(10**18)
        for at, n in sorted(ones):
            if at - last >= gap:
                told.append([at, at, team, 0, 0])
            last = at
            told[-1][1] = at
            told[-1][3] += 1  # type: ignore[operator] # a number
            told[-1][4] += n  # type: ignore[operator] # a number
    return {(first, end + gap, team): (count, total) for first, end, team, count, total in told}  # type: ignore[misc,operator] # as above
