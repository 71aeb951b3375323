"""Timed runs of headrace's jobs on SQLite: running jobs, and enqueueing jobs."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.jobs_limit import Mode
from benchmarks.measure import all_arrived
from headrace.jobs.jobs import Jobs
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.jobs.stores.sqlite_store import SqliteStore
from headrace.jobs.worker import worker

CALLERS: Final = 100
"""Coroutines that enqueue at the same time. Each waits for the commit of its job before it enqueues the next."""

BULK: Final = 1000
"""Jobs of one call of `enqueue_many`."""


class Ran:
    """The jobs that ran, and the time when the last one had run."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.total = 0
        self.is_all = asyncio.Event()

    def expect(self, total: int) -> None:
        """Reset the counts, on the running loop."""
        self.numbers = []
        self.total = total
        self.is_all = asyncio.Event()


RAN: Final = Ran()


@worker(name="noop")
async def noop(number: int) -> None:
    """Store the number: a job that does almost nothing."""
    RAN.numbers.append(number)
    if len(RAN.numbers) == RAN.total:
        RAN.is_all.set()


def service(path: Path, mode: Mode, limit: int | None = None) -> Jobs:
    """Return the service on a file. With a limit it also runs the queue."""
    queues = {} if limit is None else {"default": limit}
    return Jobs(SqliteStore(path, synchronous=mode), WorkerCatalogue([noop]), queues)


def numbers(total: int) -> list[list[dict[str, int]]]:
    """Return the calls of `total` jobs, in lists for `enqueue_many`."""
    return [[{"number": number} for number in range(begin, begin + BULK)] for begin in range(0, total, BULK)]


async def filled(path: Path, total: int, mode: Mode = "normal") -> float:
    """Enqueue `total` jobs by `enqueue_many`; return the seconds."""
    calls = numbers(total)
    async with service(path, mode) as jobs:
        start = time.perf_counter()
        handles = [await noop.enqueue_many(bulk) for bulk in calls]
        seconds = time.perf_counter() - start
        all_arrived(await jobs.store.count(JobFilter()), total)
    all_arrived(len({handle.id for some in handles for handle in some}), total)
    return seconds


async def worked_off(path: Path, total: int, mode: Mode, limit: int) -> float:
    """Return the seconds in which a queue runs `total` waiting jobs, from opening the file until it is closed."""
    RAN.expect(total)
    start = time.perf_counter()
    async with service(path, mode, limit):
        await RAN.is_all.wait()
    seconds = time.perf_counter() - start
    all_arrived(sorted(RAN.numbers), list(range(total)))
    await _all_are(path, "completed", total)
    return seconds


async def enqueued(path: Path, total: int, mode: Mode) -> float:
    """Return the seconds of 100 callers that enqueue `total` jobs one by one, and await each commit."""
    ids: list[int] = []

    async def call(some: Sequence[int]) -> None:
        ids.extend([(await noop.enqueue(number)).id for number in some])

    async with service(path, mode):
        start = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for caller in range(CALLERS):
                group.create_task(call(range(caller, total, CALLERS)))
        seconds = time.perf_counter() - start
    all_arrived(len(set(ids)), total)
    await _all_are(path, "available", total)
    return seconds


async def _all_are(path: Path, state: str, total: int) -> None:
    store = SqliteStore(path)
    await store.open()
    all_arrived([(one.state, one.count) for one in await store.counts()], [(state, total)])
    await store.close()
