"""Figures other than ratios: idle latency, memory under a slow consumer, the time of a command."""

import asyncio
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from benchmarks.measure import all_arrived, ratio
from benchmarks.stages import AddOne, Ints, SlowSum
from headrace.pipeline.flow.subscription import SubscribeTo
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.topology.topology import Topology

HEADRACE: Final = (sys.executable, "-P", "-m", "headrace")


class Push(Producer[int]):
    """Emits events that `emit_nowait` gives it."""

    def handle_demand(self, demand: int) -> list[int]:
        """Return nothing: events are pushed."""
        return []


class Arrivals(Consumer[int]):
    """Stores the time when an event arrives."""

    def __init__(self) -> None:
        self.at = 0.0
        self.arrived = asyncio.Event()

    def handle_events(self, events: list[int]) -> None:
        """Read the clock."""
        self.at = time.perf_counter()
        self.arrived.set()


async def latencies(count: int = 2000) -> list[float]:
    """Return the microseconds of `count` single events through three idle stages, sorted."""
    push, arrivals = Push(), Arrivals()
    topology = Topology()
    topology.add("push", lambda: push)
    topology.add("middle", AddOne, subscribe_to="push")
    topology.add("sink", lambda: arrivals, subscribe_to="middle")
    found = []
    async with topology:
        for number in range(count):
            arrivals.arrived.clear()
            start = time.perf_counter()
            push.emit_nowait([number])
            await arrivals.arrived.wait()
            found.append((arrivals.at - start) * 1e6)
    return sorted(found)


async def slow_consumer(total: int = 10_000_000) -> tuple[float, int, int]:
    """Return the growth of memory in MiB after the first tenth, the most events in flight, and their bound."""
    topology = Topology()
    topology.add("ints", lambda: Ints(total))
    topology.add("middle", AddOne, subscribe_to=SubscribeTo("ints", 1000, 500))
    topology.add("slow", SlowSum, subscribe_to=SubscribeTo("middle", 1000, 500))
    await topology.start()
    most, before, over = 0, 0, asyncio.ensure_future(topology.join())
    while not over.done():
        snapshot = topology.snapshot()
        most = max(most, sum(stage.in_flight_events + stage.buffer_events for stage in snapshot.stages))
        if not before and snapshot.stages[0].events_sent >= total / 10:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        await asyncio.sleep(0)
    outcome = over.result()
    all_arrived(outcome.is_fine, True)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, most, 2 * 1000 + 1000


IMPORTS: Final = "import pydantic, yaml, prometheus_client, starlette.applications, uvicorn, rich.console, typer"
"""The libraries of a run, imported alone: what the start of a run is compared with."""

IDLE: Final = """\
listen: off
stages:
  numbers: {type: generate, count: 1}
  sink: {type: discard, subscribe_to: numbers}
"""
"""A config with two stages that has nothing to do, and opens no port."""


def start_ratio(runs: int = 9) -> float:
    """Return the CPU time of `headrace run` with the config `IDLE`, as a multiple of that of `IMPORTS`."""
    with TemporaryDirectory() as folder:
        config = Path(folder, "idle.yaml")
        config.write_text(IDLE)
        libraries = [sys.executable, "-P", "-c", IMPORTS]
        run = [*HEADRACE, "run", str(config)]
        return 1 / ratio(lambda: timed(libraries)[1], lambda: timed(run)[1], runs)


def command_seconds(*arguments: str, runs: int = 9) -> float:
    """Return the median seconds of a headrace command, from its start to its end.

    The first run is not counted: it compiles the modules that the others find compiled.
    """
    return statistics.median([timed([*HEADRACE, *arguments])[0] for _ in range(1 + runs)][1:])


def timed(command: Sequence[str]) -> tuple[float, float]:
    """Run a command with compiled modules; return its seconds, and the CPU seconds of it and its children."""
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=environ)  # noqa: S603 - our own commands
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
