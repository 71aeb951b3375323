"""Jobs against the smallest possible queue on SQLite, and against a peer."""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks import jobs_peer, jobs_runs
from benchmarks.jobs_limit import BY_ROW, LEAST, OBAN, LeastQueue, Mode, Table
from benchmarks.measure import Line, all_arrived, at_least, at_most, ratio

TOTAL: Final = 20_000
PEER_TOTAL: Final = 2_000
"""Tasks of the peer: fewer, because each takes longer."""

RUNS: Final = 5
"""Pairs of runs."""

AT_ONCE: Final = 2
"""Claims of the smallest queue in progress at a time: with one, thread and loop would wait for each other."""

_LIMIT: Final = "the smallest queue"
_BY_ROW: Final = "it, row by row"
_TABLES: Final = {_LIMIT: OBAN, _BY_ROW: BY_ROW, "it, with 3 columns": LEAST}
"""The smallest queue on Oban's table, to which the bounds apply, and two variants of it for comparison."""

Run = Callable[[Path], Awaitable[float]]


async def limit_worked_off(path: Path, mode: Mode, table: Table) -> float:
    """Return the seconds that the smallest queue takes for no-op jobs, from its opening until it is closed."""
    done: list[int] = []

    async def noop(number: int) -> None:
        done.append(number)

    async with LeastQueue(path, mode, table) as queue:
        for bulk in jobs_runs.numbers(TOTAL):
            await queue.insert_many(bulk)
    start = time.perf_counter()
    async with LeastQueue(path, mode, table) as queue, asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(queue.work_off(noop))
    seconds = time.perf_counter() - start
    all_arrived(sorted(done), list(range(TOTAL)))
    return seconds


async def limit_filled(path: Path, mode: Mode, table: Table) -> float:
    """Return the seconds that the smallest queue takes to insert many jobs at a time."""
    calls = jobs_runs.numbers(TOTAL)
    async with LeastQueue(path, mode, table) as queue:
        start = time.perf_counter()
        for bulk in calls:
            await queue.insert_many(bulk)
        seconds = time.perf_counter() - start
        all_arrived(await queue.left(), TOTAL)
    return seconds


async def limit_enqueued(path: Path, mode: Mode) -> float:
    """Return the seconds that the smallest queue takes for 100 callers that insert one job at a time."""

    async def call(some: range) -> None:
        for number in some:
            await queue.insert({"number": number})

    async with LeastQueue(path, mode) as queue:
        start = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for caller in range(jobs_runs.CALLERS):
                group.create_task(call(range(caller, TOTAL, jobs_runs.CALLERS)))
        seconds = time.perf_counter() - start
        all_arrived(await queue.left(), TOTAL)
    return seconds


async def ours_worked_off(path: Path, mode: Mode, limit: int = 100) -> float:
    """Return the seconds that headrace takes for no-op jobs."""
    await jobs_runs.filled(path, TOTAL)
    return await jobs_runs.worked_off(path, TOTAL, mode, limit)


def fresh(work: Run) -> float:
    """Run `work` on a file of its own, in an event loop of its own."""
    with tempfile.TemporaryDirectory() as folder:

        async def run() -> float:
            return await work(Path(folder) / "jobs.db")

        return asyncio.run(run())


def peer(*options: str) -> float:
    """Return the seconds that the peer would take for as many jobs."""
    with tempfile.TemporaryDirectory() as folder:
        return jobs_peer.worked_off(Path(folder), PEER_TOTAL, *options) * TOTAL / PEER_TOTAL


def lines() -> Iterator[Line]:
    """Measure jobs, and yield a line for each row."""
    for mode in ("normal", "full"):
        yield from _of_mode(mode)
    ours = partial(fresh, partial(ours_worked_off, mode="full"))
    yield at_least("no-op jobs, limit 100, full, against huey on SQLite", ratio(peer, ours, RUNS), 10.0)
    quiet = partial(peer, "-q")
    yield at_least("no-op jobs, limit 100, full, against huey -q", ratio(quiet, ours, RUNS), None)


def _of_mode(mode: Mode) -> Iterator[Line]:
    def against(theirs: Run, ours: Run) -> float:
        return ratio(partial(fresh, theirs), partial(fresh, ours), RUNS)

    limits = {table: partial(limit_worked_off, mode=mode, table=made) for table, made in _TABLES.items()}
    ours = partial(ours_worked_off, mode=mode)
    limit = limits[_LIMIT]
    seconds = fresh(limit)
    yield at_most(f"the smallest queue, {mode}: time per job", seconds / TOTAL * 1e6, None, "µs")
    yield at_least(
        f"no-op jobs, limit 10, {mode}, against the smallest queue", against(limit, partial(ours, limit=10)), None
    )
    for table, theirs in limits.items():
        bound = 0.35 if table == _LIMIT else None
        yield at_least(f"no-op jobs, limit 100, {mode}, against {table}", against(theirs, ours), bound)
    filled = partial(jobs_runs.filled, total=TOTAL, mode=mode)
    for table, how, bound in ((_BY_ROW, "", 0.6), (_LIMIT, " by one statement", None)):
        raw = partial(limit_filled, mode=mode, table=_TABLES[table])
        yield at_least(f"enqueue_many, {mode}, against raw inserts{how}", against(raw, filled), bound)
    enqueued = partial(jobs_runs.enqueued, total=TOTAL, mode=mode)
    found = against(partial(limit_enqueued, mode=mode), enqueued)
    yield at_least(f"enqueue by 100 callers, {mode}, against the smallest queue", found, 0.4)
