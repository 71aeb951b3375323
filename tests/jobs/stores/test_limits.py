"""What a claim takes of a queue that has limits: as much as they let start; none with room waits for one without."""

import asyncio
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.jobs.errors import BadLimit
from headrace.jobs.job import AttemptCompleted, Job, NewJob
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.rules.limits import GlobalLimit, QueueLimits, RateLimit, partition_of
from headrace.jobs.stores.memory_store import MemoryStore
from headrace.jobs.stores.sql.claim import PARTITIONS, WALKED
from headrace.jobs.stores.sqlite_store import SqliteStore
from headrace.jobs.stores.store import JobStore, LeaseOwner
from tests.fakes.job_clock import MovedClock
from tests.fakes.kept_jobs import ME, OTHER, ended, inserted

CUSTOMER = "args.customer"


def limited(
    at_once: int | None = None, rate: RateLimit | None = None, partition: str | None = None, who: LeaseOwner = ME
) -> LeaseOwner:
    return replace(who, limits=QueueLimits(None if at_once is None else GlobalLimit(at_once, partition), rate))


def of(*customers: object) -> list[NewJob]:
    return [NewJob("build", {"customer": customer}) for customer in customers]


def customers(jobs: Sequence[Job]) -> list[object]:
    return [job.args["customer"] for job in jobs]


@pytest.mark.asyncio
async def test_a_global_limit_holds_over_all_who_claim(store: JobStore) -> None:
    await inserted(store, *(NewJob("build") for _ in range(10)))
    first = await store.claim(limited(3), 2)
    second = await store.claim(limited(3, who=OTHER), 5)
    assert (len(first), len(second)) == (2, 1)
    assert await store.claim(limited(3), 5) == []
    await ended(store, first[0], AttemptCompleted())
    assert len(await store.claim(limited(3, who=OTHER), 5)) == 1


@pytest.mark.asyncio
async def test_limits_of_one_queue_are_nothing_to_another(store: JobStore) -> None:
    await inserted(store, NewJob("build"), NewJob("build", queue="slow"))
    mine = limited(1, RateLimit(1, 60))
    assert len(await store.claim(mine, 5)) == 1
    assert len(await store.claim(replace(mine, queue="slow", uuid="u-3"), 5)) == 1


@pytest.mark.asyncio
async def test_as_many_start_as_the_rate_lets_and_go_on_as_time_does(store: JobStore, clock: MovedClock) -> None:
    await inserted(store, *(NewJob("build") for _ in range(100)))
    owner = limited(rate=RateLimit(10, 60))
    counts = []
    for _ in range(5):
        counts.append(len(await store.claim(owner, 50)))
        clock.move(12)
    assert counts == [10, 2, 2, 2, 2]
    clock.move(3600)
    assert len(await store.claim(owner, 50)) == 10


@pytest.mark.asyncio
async def test_a_burst_is_what_starts_at_once(store: JobStore) -> None:
    await inserted(store, *(NewJob("build") for _ in range(9)))
    assert len(await store.claim(limited(rate=RateLimit(100, burst=3)), 9)) == 3


@pytest.mark.asyncio
async def test_what_was_not_there_costs_nothing_of_the_rate(store: JobStore) -> None:
    owner = limited(rate=RateLimit(3, 60))
    assert await store.claim(owner, 3) == []
    await inserted(store, *(NewJob("build") for _ in range(9)))
    assert len(await store.claim(owner, 2)) == 2
    assert len(await store.claim(owner, 9)) == 1


@pytest.mark.asyncio
async def test_a_clock_set_back_does_not_hold_the_rate_up(store: JobStore, clock: MovedClock) -> None:
    await inserted(store, *(NewJob("build") for _ in range(9)))
    owner = limited(rate=RateLimit(3, 60))
    assert len(await store.claim(owner, 9)) == 3
    clock.move(-3600)
    assert await store.claim(owner, 9) == []
    clock.move(20)
    assert len(await store.claim(owner, 9)) == 1


@pytest.mark.asyncio
async def test_a_partition_without_room_keeps_no_other_out(store: JobStore) -> None:
    await inserted(store, *of("ann", "ann", "ann", "bob", "ann", "cy", "bob"))
    jobs = await store.claim(limited(1, partition=CUSTOMER), 10)
    assert customers(jobs) == ["ann", "bob", "cy"]
    await ended(store, jobs[1], AttemptCompleted())
    assert customers(await store.claim(limited(1, partition=CUSTOMER), 10)) == ["bob"]


@pytest.mark.asyncio
async def test_each_partition_has_a_rate_of_its_own(store: JobStore, clock: MovedClock) -> None:
    await inserted(store, *of("ann", "ann", "ann", "bob", "bob"))
    owner = limited(rate=RateLimit(1, 10, partition=CUSTOMER))
    assert customers(await store.claim(owner, 10)) == ["ann", "bob"]
    assert await store.claim(owner, 10) == []
    clock.move(10)
    assert customers(await store.claim(owner, 10)) == ["ann", "bob"]


@pytest.mark.asyncio
async def test_one_limit_may_be_partitioned_and_the_other_not(store: JobStore) -> None:
    await inserted(store, *of("ann", "ann", "bob", "bob", "cy", "dan"))
    jobs = await store.claim(limited(1, RateLimit(3, 60), CUSTOMER), 10)
    assert customers(jobs) == ["ann", "bob", "cy"]
    for job in jobs:
        await ended(store, job, AttemptCompleted())
    assert await store.claim(limited(1, RateLimit(3, 60), CUSTOMER), 10) == []


@pytest.mark.asyncio
@pytest.mark.parametrize("partition", ["worker", "args.customer.id", "meta.tenant", "args.it's"])
async def test_jobs_may_be_partitioned_by_what_they_have(store: JobStore, partition: str) -> None:
    jobs = [
        NewJob(f"w{n // 2}", {"customer": {"id": n // 2}, "it's": n // 2}, meta={"tenant": n // 2}) for n in range(6)
    ]
    await inserted(store, *jobs)
    claimed = await store.claim(limited(1, partition=partition), 10)
    assert [job.worker for job in claimed] == ["w0", "w1", "w2"]


@pytest.mark.asyncio
async def test_values_of_any_kind_are_partitions(store: JobStore) -> None:
    await inserted(store, *of(None, 1, 1.0, "1", True, ["a"], {"a": 1}, 1.5, "null"), NewJob("build"), *of(["a"]))
    claimed = await store.claim(limited(1, partition=CUSTOMER), 20)
    assert customers(claimed) == [None, 1, "1", ["a"], {"a": 1}, 1.5, "null"]
    assert await store.claim(limited(1, partition=CUSTOMER), 20) == []


@pytest.mark.asyncio
async def test_what_a_claimant_cannot_run_is_left_alone_with_limits_too(store: JobStore) -> None:
    await inserted(store, NewJob("other", {"customer": 1}), *of(1, 2))
    for partition in (None, CUSTOMER):
        owner = replace(limited(2, partition=partition), workers=("build",))
        jobs = await store.claim(owner, 1)
        assert [job.worker for job in jobs] == ["build"]


@pytest.mark.asyncio
async def test_very_many_jobs_of_one_partition_keep_no_other_out(store: JobStore) -> None:
    await inserted(store, *of(*["ann"] * (WALKED + 50), *(f"c{n}" for n in range(5)), None))
    owner = limited(2, partition=CUSTOMER)
    assert customers(await store.claim(owner, 20)) == ["ann", "ann", "c0", "c1", "c2", "c3", "c4", None]
    assert await store.claim(owner, 20) == []


@pytest.mark.asyncio
async def test_names_with_quotes_in_them_are_names(store: JobStore) -> None:
    jobs = [NewJob("build", {"it's": n}, queue="ann's") for n in [*[0] * (WALKED + 1), 1, 2]]
    await inserted(store, *jobs)
    owner = replace(limited(1, partition="args.it's"), queue="ann's")
    assert [job.args["it's"] for job in await store.claim(owner, 5)] == [0, 1, 2]


@pytest.mark.asyncio
async def test_of_very_many_partitions_each_has_its_turn(tmp_path: Path, clock: MovedClock) -> None:
    store = SqliteStore(tmp_path / "jobs.db", now=clock)
    await store.open()
    count = 2 * PARTITIONS + 10
    await inserted(store, *of(*["ann"] * (WALKED + 1), *range(count)))
    owner = limited(1, partition=CUSTOMER)
    taken: list[object] = []
    for _ in range(4):
        taken += customers(await store.claim(owner, PARTITIONS))
    assert Counter(taken) == Counter(["ann", *range(count)])
    await store.close()


@pytest.mark.asyncio
async def test_limits_hold_when_many_processes_claim_at_once(tmp_path: Path, clock: MovedClock) -> None:
    stores = [SqliteStore(tmp_path / "jobs.db", now=clock) for _ in range(4)]
    for one in stores:
        await one.open()
    await inserted(stores[0], *of(*[n % 5 for n in range(200)]))
    limits = QueueLimits(GlobalLimit(3, CUSTOMER), RateLimit(8, 60))
    claims = [
        one.claim(LeaseOwner("here", f"u-{n}-{turn}", "default", limits=limits), 2)
        for turn in range(4)
        for n, one in enumerate(stores)
    ]
    jobs = [job for claimed in await asyncio.gather(*claims) for job in claimed]
    assert len(jobs) == 8
    assert max(Counter(map(str, customers(jobs))).values()) <= 3
    for one in stores:
        await one.close()


def test_limits_that_make_no_sense_are_refused() -> None:
    for count in (0, "5", 1.5):
        with pytest.raises(
            BadLimit, match=f"the global_limit of a queue is {count!r}, and must be a whole number from 1"
        ):
            GlobalLimit(count)  # type: ignore[arg-type] # that is what is wrong
    with pytest.raises(BadLimit, match="the partition of a queue is 'worker', and must be the one of the other limit"):
        QueueLimits(GlobalLimit(1, CUSTOMER), RateLimit(1, partition="worker"))


@st.composite
def some_limits(draw: st.DrawFn) -> QueueLimits:
    """Either limit or both, partitioned or not."""
    parted = st.none() | st.just(CUSTOMER)
    at_once = draw(st.none() | st.builds(GlobalLimit, st.integers(1, 4), parted))
    counts, periods, bursts = st.sampled_from([0.5, 1, 3]), st.sampled_from([1.0, 10.0]), st.none() | st.integers(1, 3)
    rate = draw(st.none() | st.builds(RateLimit, counts, periods, bursts, parted))
    return QueueLimits(at_once, rate)


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("insert"), st.lists(st.tuples(st.sampled_from(["ann", "bob", "cy", None]), st.integers(0, 2)))
        ),
        st.tuples(st.just("claim"), st.integers(0, 6)),
        st.tuples(st.just("end"), st.integers(0, 3)),
        st.tuples(st.just("move"), st.sampled_from([0.5, 1.0, 7.0, 60.0, -5.0])),
    ),
    max_size=25,
)


@settings(max_examples=60)
@given(limits=some_limits(), steps=STEPS)
@pytest.mark.asyncio
async def test_both_stores_take_the_same_and_what_they_leave_had_no_room(
    limits: QueueLimits, steps: list[tuple[str, object]]
) -> None:
    clock = MovedClock()
    owner = replace(ME, limits=limits)
    memory = MemoryStore(now=clock)
    with tempfile.TemporaryDirectory() as folder:
        sqlite = SqliteStore(Path(folder) / "jobs.db", now=clock, synchronous="normal")
        await sqlite.open()
        running: list[Job] = []
        for what, value in steps:
            if what == "insert":
                assert isinstance(value, list)
                jobs = [NewJob("build", {"customer": one}, priority=priority) for one, priority in value]
                assert await memory.insert(jobs) == await sqlite.insert(jobs)
            elif what == "claim":
                assert isinstance(value, int)
                claimed = await memory.claim(owner, value)
                assert [job.id for job in await sqlite.claim(owner, value)] == [job.id for job in claimed]
                running += claimed
                await _had_no_room(memory, limits, running, is_full=len(claimed) == value)
            elif what == "end":
                assert isinstance(value, int)
                for job in running[:value]:
                    await ended(memory, job, AttemptCompleted())
                    await ended(sqlite, job, AttemptCompleted())
                del running[:value]
            else:
                assert isinstance(value, float)
                clock.move(value)
        await sqlite.close()


async def _had_no_room(store: MemoryStore, limits: QueueLimits, running: list[Job], *, is_full: bool) -> None:
    """No more execute than may; where a claim got less than it wanted, nothing that is left may start."""
    if limits.global_limit is None:
        return
    partition, most = limits.global_limit.partition, limits.global_limit.count
    executing = Counter(partition_of(job, partition) for job in running)
    assert all(count <= most for count in executing.values())
    if not is_full and limits.rate_limit is None:
        waiting = await store.find(JobFilter(states=frozenset({"available"})), 1000)
        assert all(executing[partition_of(job, partition)] == most for job in waiting)
