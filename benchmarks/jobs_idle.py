"""An idle queue: its CPU time, and the delay before a new job starts."""

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.measure import Line, at_most
from headrace.jobs.jobs import Jobs
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.jobs.stores.sqlite_store import SqliteStore
from headrace.jobs.worker import worker

IDLE_SECONDS: Final = 5.0
STARTS: Final = 200
STARTS_ELSEWHERE: Final = 7

_ELSEWHERE: Final = """
import sys, time
from benchmarks.jobs_idle import Starts, service, tell
import asyncio

async def main():
    async with service(sys.argv[1], False):
        while sys.stdin.readline():
            await tell.enqueue(time.time())
            print("enqueued", flush=True)

asyncio.run(main())
"""
"""The other OS process: enqueues a job with the current time for each line that it reads."""


class Starts:
    """How long jobs waited for their start, in milliseconds."""

    def __init__(self) -> None:
        self.found: list[float] = []
        self.has_started = asyncio.Event()


STARTED: Final = Starts()


@worker(name="tell")
async def tell(at: float) -> None:
    """Store how long ago the job was enqueued."""
    STARTED.found.append((time.time() - at) * 1000)
    STARTED.has_started.set()


def service(path: Path | str, has_queue: bool) -> Jobs:  # noqa: FBT001 - a switch of one benchmark
    """Return the service on a file, which runs the queue or only enqueues."""
    return Jobs(SqliteStore(path), WorkerCatalogue([tell]), {"default": 10} if has_queue else {})


async def _idle(path: Path) -> float:
    """Return how much of a core an idle queue uses, in per cent."""
    async with service(path, True):
        cpu, wall = time.process_time(), time.perf_counter()
        await asyncio.sleep(IDLE_SECONDS)
        return (time.process_time() - cpu) / (time.perf_counter() - wall) * 100


async def _here(path: Path) -> list[float]:
    """Return how many milliseconds jobs of the same process wait, sorted."""
    STARTED.found = []
    async with service(path, True):
        for _ in range(STARTS):
            STARTED.has_started = asyncio.Event()
            await tell.enqueue(time.time())
            await STARTED.has_started.wait()
    return sorted(STARTED.found)


async def _elsewhere(path: Path) -> list[float]:
    """Return how many milliseconds jobs of another OS process wait, sorted."""
    STARTED.found = []
    command = [sys.executable, "-c", _ELSEWHERE, str(path)]
    async with service(path, True):
        other = await asyncio.create_subprocess_exec(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert other.stdin is not None
        for number in range(STARTS_ELSEWHERE):
            STARTED.has_started = asyncio.Event()
            await asyncio.sleep(number / STARTS_ELSEWHERE)  # at another moment between two looks each time
            other.stdin.write(b"go\n")
            await STARTED.has_started.wait()
        other.stdin.close()
        await other.wait()
    return sorted(STARTED.found)


def lines() -> Iterator[Line]:
    """Measure an idle queue, and yield a line for each row."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "jobs.db"
        yield at_most("CPU use of an idle queue, of one core", asyncio.run(_idle(path)), 1, "%")
        here = asyncio.run(_here(path))
        yield at_most("delay of a job in an idle queue, full, p50", statistics.median(here), None, "ms")
        yield at_most("delay of a job in an idle queue, full, p99", here[int(len(here) * 0.99)], 20, "ms")
        yield at_most("delay of a job from another OS process, slowest", asyncio.run(_elsewhere(path))[-1], 1000, "ms")
