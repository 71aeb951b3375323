"""Whatever is done to them, the stores in memory, in a file, over an async dialect and in PostgreSQL agree."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.database.heartbeat import MISSED_HEARTBEATS
from headrace.jobs.job import (
    INCOMPLETE,
    STATES,
    AttemptCancelled,
    AttemptCompleted,
    AttemptFailed,
    AttemptReleased,
    AttemptSnoozed,
    JobAck,
    JobOutcome,
    MetaChange,
    NewJob,
    Unique,
)
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.stores.memory_store import MemoryStore
from headrace.jobs.stores.postgres_store import PostgresStore
from headrace.jobs.stores.sqlite_store import SqliteStore
from headrace.jobs.stores.store import JobStore, LeaseOwner, PruneRule
from tests.fakes.async_sql_store import AsyncSqlStore
from tests.fakes.job_clock import NOON, MovedClock
from tests.fakes.kept_jobs import ALL
from tests.fakes.postgres_server import new_schema

Act = Callable[[JobStore], Awaitable[object]]

IDS = st.integers(1, 12)
NAMES = st.sampled_from(["a", "b"])
META = st.dictionaries(st.sampled_from(["x", "crashes"]), st.none() | st.integers(0, 3), max_size=2)
CLAIMANTS = st.builds(LeaseOwner, st.just("n"), st.sampled_from(["u1", "u2"]), NAMES)
UNIQUE = st.builds(
    Unique,
    keys=st.sampled_from([frozenset(), frozenset({"k"})]),
    period_seconds=st.sampled_from([None, 5.0]),
    timestamp=st.sampled_from(["inserted_at", "scheduled_at"]),
    states=st.sampled_from([INCOMPLETE, frozenset(STATES), frozenset({"scheduled"})]),
    replace=st.dictionaries(
        st.sampled_from(STATES),
        st.frozensets(st.sampled_from(["args", "priority", "scheduled_at", "queue"])),
        max_size=3,
    ),
)
NEW = st.builds(
    NewJob,
    worker=NAMES,
    args=st.dictionaries(st.sampled_from(["k", "l"]), st.integers(0, 1), max_size=2),
    queue=NAMES,
    priority=st.integers(0, 2),
    max_attempts=st.integers(1, 3),
    scheduled_at=st.none() | st.integers(0, 20).map(lambda seconds: NOON + timedelta(seconds=seconds)),
    state=st.none() | st.just("suspended"),
    unique=st.none() | UNIQUE,
)
OUTCOMES: st.SearchStrategy[JobOutcome] = st.one_of(
    st.builds(AttemptCompleted, st.none() | META),
    st.builds(AttemptFailed, st.just("e"), st.none() | st.integers(0, 9).map(float), st.none() | META),
    st.builds(AttemptCancelled, st.just("off"), META),
    st.builds(AttemptSnoozed, st.integers(1, 9).map(float), META),
    st.builds(AttemptReleased, META),
)
FILTERS = st.builds(
    JobFilter,
    ids=st.none() | st.frozensets(IDS, max_size=4),
    states=st.none() | st.frozensets(st.sampled_from(STATES), max_size=3),
    queues=st.none() | st.frozensets(NAMES, max_size=1),
)
RULES = st.builds(
    PruneRule,
    st.sampled_from(["completed", "cancelled", "discarded"]),
    st.none() | st.integers(0, 20).map(lambda seconds: NOON + timedelta(seconds=seconds)),
    st.none() | st.integers(0, 2),
)


async def _rescued(store: JobStore, owner: LeaseOwner) -> object:
    await store.leave(owner)
    for _ in range(MISSED_HEARTBEATS + 1):
        await store.heartbeat()
    return sorted(await store.rescue(), key=repr)


ACTS: st.SearchStrategy[Act] = st.one_of(
    st.lists(NEW, min_size=1, max_size=4).map(lambda jobs: lambda store: store.insert(jobs)),
    st.builds(lambda who, count: lambda store: store.claim(who, count), CLAIMANTS, st.integers(1, 4)),
    st.builds(
        lambda who, told: lambda store: store.acknowledge(who, told),
        CLAIMANTS,
        st.lists(st.builds(JobAck, IDS, st.integers(1, 2), OUTCOMES), min_size=1, max_size=12),
    ),
    st.builds(MetaChange, IDS, st.just(1), CLAIMANTS.map(lambda who: (who.node, who.uuid)), META).map(
        lambda change: lambda store: store.merge([change])
    ),
    st.builds(lambda who, ids: lambda store: store.lost(who, sorted(ids)), CLAIMANTS, st.frozensets(IDS)),
    FILTERS.map(lambda which: lambda store: store.cancel(which)),
    FILTERS.map(lambda which: lambda store: store.retry(which)),
    FILTERS.map(lambda which: lambda store: store.run_now(which)),
    FILTERS.map(lambda which: lambda store: store.release(which)),
    FILTERS.map(lambda which: lambda store: store.delete(which)),
    st.just(lambda store: store.stage(100)),
    RULES.map(lambda rule: lambda store: store.prune(rule)),
    CLAIMANTS.map(lambda who: lambda store: _rescued(store, who)),
)
STEPS = st.lists(st.tuples(st.integers(-2, 5), ACTS), max_size=30)


@settings(max_examples=60)
@given(steps=STEPS)
def test_all_stores_agree(steps: list[tuple[int, Act]]) -> None:
    async def check(folder: Path) -> None:
        clock = MovedClock()
        memory = MemoryStore(now=clock)
        stores: list[JobStore] = [
            SqliteStore(folder / "jobs.db", synchronous="normal", now=clock),
            AsyncSqlStore(folder / "async.db", now=clock),
            PostgresStore(new_schema(folder), now=clock),
        ]
        for store in stores:
            await store.open()
        try:
            for seconds, act in steps:
                clock.move(seconds)
                result = await act(memory)
                for store in stores:
                    assert await act(store) == result
                    assert await store.find(ALL, 1000) == await memory.find(ALL, 1000)
        finally:
            for store in stores:
                await store.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(check(Path(folder)))
