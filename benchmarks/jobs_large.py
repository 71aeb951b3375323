"""A table with a million ended jobs: the time of claims, and of claims during pruning."""

import asyncio
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks.measure import Line, all_arrived, at_least, at_most, ratio
from headrace.jobs.job import AttemptCompleted, JobAck, to_text
from headrace.jobs.maintenance.maintenance import Pruner, Retention
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.stores.sqlite_store import SqliteStore
from headrace.jobs.stores.store import LeaseOwner

ENDED: Final = 1_000_000
WAITING: Final = 100_000
CLAIMED: Final = 5_000
"""Jobs that one run claims and ends."""

AT_ONCE: Final = 100
RUNS: Final = 7

_FILL: Final = """
with recursive numbers (number) as (select 1 union all select number + 1 from numbers where number < :count)
insert into oban_jobs
  (state, queue, worker, args, attempt, inserted_at, scheduled_at, attempted_at, attempted_by, completed_at)
select
  :state, 'default', 'noop', json_object('number', number), :attempt, :at, :at, :ended_at, '["node","uuid"]', :ended_at
from numbers
"""


def _now() -> datetime:
    return datetime.now(UTC)


async def _filled(path: Path, ended: int) -> SqliteStore:
    """Return an open store with so many ended jobs, and 100,000 waiting jobs."""
    store = SqliteStore(path)
    await store.open()
    at = to_text(_now())

    def fill(connection: sqlite3.Connection) -> None:
        for state, count, attempt, ended_at in (("completed", ended, 1, at), ("available", WAITING, 0, None)):
            values = {"state": state, "count": count, "attempt": attempt, "at": at, "ended_at": ended_at}
            if count:
                connection.execute(_FILL, values)

    await store.writer.run(fill)
    return store


async def _claim(store: SqliteStore, owner: LeaseOwner) -> float:
    """Claim 100 and end them; return the seconds of the claim."""
    start = time.perf_counter()
    jobs = await store.claim(owner, AT_ONCE)
    seconds = time.perf_counter() - start
    all_arrived(len(jobs), AT_ONCE)
    await store.acknowledge(owner, [JobAck(job.id, job.attempt, AttemptCompleted()) for job in jobs])
    return seconds


async def _claimed(store: SqliteStore, owner: LeaseOwner) -> float:
    """Return the seconds that it takes to claim and end 5,000 jobs."""
    start = time.perf_counter()
    for _ in range(CLAIMED // AT_ONCE):
        await _claim(store, owner)
    return time.perf_counter() - start


async def _pruned(store: SqliteStore, owner: LeaseOwner) -> tuple[float, float, float]:
    """Prune all ended jobs, piece by piece without a pause, and claim jobs meanwhile.

    Return the median and the slowest of the claims, in milliseconds, and the seconds of the whole.
    """
    before = await store.count(JobFilter(states=frozenset({"completed"})))
    prune = Pruner(store, [Retention("completed", 0.0)], _now)
    claims: list[float] = []
    start = time.perf_counter()

    async def claim() -> None:
        while prune.pruned < before:
            claims.append(await _claim(store, owner) * 1000)
            await asyncio.sleep(0.05)

    async with asyncio.TaskGroup() as group:
        group.create_task(claim())
        while prune.pruned < before:
            await prune.run()
    seconds = time.perf_counter() - start
    claims.sort()
    return claims[len(claims) // 2], claims[-1], seconds


def lines() -> Iterator[Line]:
    """Measure a large table, and yield a line for each row."""
    owner = LeaseOwner("bench", "bench", "default", ("noop",))
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:
        small = runner.run(_filled(Path(folder) / "small.db", 0))
        large = runner.run(_filled(Path(folder) / "large.db", ENDED))
        found = ratio(lambda: runner.run(_claimed(small, owner)), lambda: runner.run(_claimed(large, owner)), RUNS)
        yield at_least("claims beside 1,000,000 ended jobs, against none", found, 0.8)
        median, slowest, seconds = runner.run(_pruned(large, owner))
        yield at_most("a claim while 1,000,000 jobs are pruned, p50", median, None, "ms")
        yield at_most("a claim while 1,000,000 jobs are pruned, slowest", slowest, 50, "ms")
        yield at_most("pruning of 1,000,000 jobs without a pause", seconds, None, "s")
        runner.run(small.close())
        runner.run(large.close())
