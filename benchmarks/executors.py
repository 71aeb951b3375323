"""Functions that compute: run where they are called, and in OS processes."""

import asyncio
import math
import time
from collections.abc import Callable
from functools import cache
from typing import Any

from benchmarks.compute import compute
from benchmarks.measure import all_arrived
from benchmarks.stages import Sum
from headrace.executors.process_executor import ProcessExecutor
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.stage.settings import PLAIN_CONCURRENCY, Concurrency, StageSettings
from headrace.pipeline.topology.topology import Topology

CALLS = 400
BURNT = 3000
"""Events of a chain: they take three seconds, so the start of OS processes is a small part."""

CALLERS = 4
"""Coroutines that call functions: two for each of two OS processes, so that no process waits for work."""


@cache
def steps_per_millisecond() -> int:
    """Return how many steps of `compute` take a millisecond here, by the quickest of several trials."""
    quickest = math.inf
    for _ in range(20):
        start = time.perf_counter()
        compute(20_000)
        quickest = min(quickest, time.perf_counter() - start)
    return int(20_000 * 0.001 / quickest)


def inline() -> float:
    """Return the seconds of calls of a millisecond, one after the other."""
    steps = steps_per_millisecond()
    start = time.perf_counter()
    for _ in range(CALLS):
        compute(steps)
    return time.perf_counter() - start


async def outside() -> float:
    """Return the seconds of these calls in two OS processes that have been started before."""
    steps = steps_per_millisecond()
    async with ProcessExecutor(2) as executor:
        await asyncio.gather(*(executor.run(compute, steps) for _ in range(20)))
        start = time.perf_counter()
        await _called(executor, compute, steps)
        seconds = time.perf_counter() - start
        all_arrived(executor.statistics().returned, CALLS + 20)
    return seconds


async def round_trip_microseconds() -> float:
    """Return the microseconds of a call to a function that does nothing."""
    async with ProcessExecutor(1) as executor:
        await executor.run(compute, 1)
        start = time.perf_counter()
        for _ in range(2000):
            await executor.run(compute, 1)
        return (time.perf_counter() - start) / 2000 * 1e6


async def start_seconds() -> float:
    """Return the seconds of a first call, with the start and the end of its OS process."""
    start = time.perf_counter()
    async with ProcessExecutor(1) as executor:
        await executor.run(math.sqrt, 4.0)
    return time.perf_counter() - start


async def _called(executor: ProcessExecutor, function: Callable[[int], int], steps: int) -> None:
    left = iter(range(CALLS))

    async def call() -> None:
        for _ in left:
            await executor.run(function, steps)

    async with asyncio.TaskGroup() as callers:
        for _ in range(CALLERS):
            callers.create_task(call())


class Burn(ProducerConsumer[int, int]):
    """Computes for a millisecond for each event."""

    per_event = True
    one_to_one = True

    def offload(self) -> Callable[[Any], object]:
        """Return the function that OS processes run."""
        return compute

    def handle_events(self, events: list[int]) -> list[int]:
        """Return the result of each event."""
        return [compute(event) for event in events]


async def burning(concurrency: Concurrency = PLAIN_CONCURRENCY) -> float:
    """Return the seconds of a chain whose middle stage computes for a millisecond for each event."""
    steps, sink = steps_per_millisecond(), Sum()
    topology = Topology()
    topology.add("source", Producer.from_stream([steps] * BURNT))
    said = StageSettings(concurrency=concurrency)
    topology.add("middle", Burn, subscribe_to=SubscribeTo("source", 100, 50), settings=said)
    topology.add("sink", lambda: sink, subscribe_to="middle")
    start = time.perf_counter()
    await topology.start()
    await topology.join()
    seconds = time.perf_counter() - start
    all_arrived(sink.count, BURNT)
    return seconds
