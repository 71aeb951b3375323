"""Stages in a row: as stages, as bare calls, and as tasks with an asyncio.Queue between them."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.measure import Broken, all_arrived
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.topology.topology import Topology

WATCH_SECONDS: Final = 0.005
"""How often a timed run checks the windows."""


@dataclass(frozen=True, slots=True)
class Work:
    """The callbacks of a chain and its window; `loose` is the source that runs without stages."""

    source: Callable[[int], Any]
    loose: Callable[[int], Any]
    middle: Callable[[], Any]
    sink: Callable[[], Any]
    total: int
    max_demand: int
    min_demand: int


async def stages(work: Work, *, measure: bool = True, middles: int = 1) -> float:
    """Return the seconds of a chain of stages. Checks that no event was lost and no window was exceeded."""
    topology = Topology(measure=measure)
    sink = work.sink()
    topology.add("0", lambda: work.source(work.total))
    for number in range(1, middles + 1):
        topology.add(str(number), work.middle, subscribe_to=_window(str(number - 1), work))
    topology.add("sink", lambda: sink, subscribe_to=_window(str(middles), work))
    start = time.perf_counter()
    await topology.start()
    watch = asyncio.ensure_future(_watch(topology, work.max_demand))
    outcome = await topology.join()
    seconds = time.perf_counter() - start
    watch.cancel()
    all_arrived((sink.count, outcome.is_fine), (work.total, True))
    return seconds


def _window(producer: str, work: Work) -> SubscribeTo:
    return SubscribeTo(producer, work.max_demand, work.min_demand)


async def _watch(topology: Topology, max_demand: int) -> None:
    """Check every few milliseconds, between two turns, that the events in flight never exceed the window."""
    seen = 0.0
    while True:
        await asyncio.sleep(0)
        if time.perf_counter() - seen < WATCH_SECONDS:
            continue
        seen = time.perf_counter()
        for stage in topology.snapshot().stages:
            if stage.in_flight_events > max_demand:
                raise Broken(f"at most {max_demand} events are in flight", f"{stage.in_flight_events} in {stage.name}")


def calls(work: Work) -> float:
    """Return the seconds of the same callbacks, called one after the other with lists of one batch."""
    source, middle, sink = work.loose(work.total), work.middle(), work.sink()
    size = work.max_demand - work.min_demand
    start = time.perf_counter()
    while source.next < work.total:
        sink.handle_events(middle.handle_events(source.handle_demand(size)))
    seconds = time.perf_counter() - start
    all_arrived(sink.count, work.total)
    return seconds


async def queues(work: Work, *, middles: int = 1) -> float:
    """Return the seconds of the same callbacks in a task each, with an `asyncio.Queue(maxsize=2)` between two."""
    source, sink = work.loose(work.total), work.sink()
    size = work.max_demand - work.min_demand
    between: list[asyncio.Queue[Any]] = [asyncio.Queue(maxsize=2) for _ in range(middles + 1)]

    async def produce() -> None:
        while source.next < work.total:
            await between[0].put(source.handle_demand(size))
        await between[0].put(None)

    async def change(number: int) -> None:
        middle, taken, given = work.middle(), between[number], between[number + 1]
        while (events := await taken.get()) is not None:
            await given.put(middle.handle_events(events))
        await given.put(None)

    async def consume() -> None:
        while (events := await between[-1].get()) is not None:
            sink.handle_events(events)

    start = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for task in (produce(), *(change(number) for number in range(middles)), consume()):
            tasks.create_task(task)
    seconds = time.perf_counter() - start
    all_arrived(sink.count, work.total)
    return seconds
