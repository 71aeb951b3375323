"""Counts, sums and maxima of 100 groups in windows of five minutes: `aggregate`, and a plain loop over dicts."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any, ClassVar, Final

from benchmarks.chains import Work, stages
from benchmarks.measure import Line, all_arrived, at_least, ratio
from benchmarks.stages import Ints, Sum
from headrace.stages.transforms.aggregate import Aggregate
from headrace.stages.transforms.aggregate_options import AggregateOptions

TOTAL: Final = 200_000
GROUPS: Final = 100
PER_SECOND: Final = 100

Sale = dict[str, Any]


def sales(total: int) -> list[Sale]:
    """Return sales of 100 departments, 100 a second."""
    return [
        {"id": n, "at": n / PER_SECOND, "department": f"d{n * 7 % GROUPS}", "total": n % 500 / 100}
        for n in range(total)
    ]


class Sales(Ints):
    """Emits prepared sales: making them would take longer than counting them."""

    made: ClassVar[list[Sale]] = []

    def __init__(self, total: int) -> None:
        super().__init__(total)
        if len(self.made) != total:
            type(self).made[:] = sales(total)

    def handle_demand(self, demand: int) -> list[Any]:
        """Return the next `demand` sales."""
        start, self.next = self.next, min(self.next + demand, self.total)
        if self.next == self.total:
            self.finish()
        return self.made[start : self.next]


class LooseSales(Sales):
    """The source of sales without stages."""

    def finish(self) -> None:
        """Do nothing."""


class Counted(Sum):
    """Adds up the numbers of events in the results."""

    def handle_events(self, events: list[Any]) -> None:
        """Add a batch."""
        self.count += sum(event["n"] for event in events)


class Loop:
    """Aggregation written by hand: a dict for each group, by window and department."""

    def __init__(self) -> None:
        self.groups: dict[tuple[float, str], Sale] = {}

    def handle_events(self, events: list[Sale]) -> None:
        """Take in a batch."""
        groups = self.groups
        for event in events:
            key = (event["at"] // 300, event["department"])
            group = groups.get(key)
            if group is None:
                group = groups[key] = {"n": 0, "revenue": 0.0, "largest": 0.0}
            total = event["total"]
            group["n"] += 1
            group["revenue"] += total
            if total > group["largest"]:  # noqa: PLR1730 - the quicker way, as one would write it here
                group["largest"] = total


def loop(total: int = TOTAL, size: int = 500) -> float:
    """Return the seconds of the loop, with the same source and the same batches."""
    source, by_hand = LooseSales(total), Loop()
    start = time.perf_counter()
    while source.next < total:
        by_hand.handle_events(source.handle_demand(size))
    seconds = time.perf_counter() - start
    all_arrived(sum(group["n"] for group in by_hand.groups.values()), total)
    return seconds


def aggregate() -> Aggregate:
    """Return the stage that computes the same."""
    values = {"n": "count", "revenue": {"sum": "event.total"}, "largest": {"max": "event.total"}}
    keys = {"window": {"tumbling": "5m"}, "time": "event.at", "by": {"department": "event.department"}}
    return Aggregate(AggregateOptions.model_validate({**keys, "values": values}))


def staged() -> float:
    """Return the seconds of the stage, in a chain."""
    return asyncio.run(stages(Work(Sales, LooseSales, aggregate, Counted, TOTAL, 1000, 500)))


def lines() -> Iterator[Line]:
    """Measure `aggregate` against the loop."""
    yield at_least("aggregate, 100 groups, 3 values, against a loop over dicts", ratio(loop, staged), 0.50)
