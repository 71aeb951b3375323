"""Unique jobs: whatever comes in at once, by whatever way, there is one of each."""

import asyncio
from datetime import timedelta

import pytest

from headrace.jobs.job import INCOMPLETE, STATES, JobState, NewJob, Unique
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.stores.store import JobStore, PruneRule
from tests.fakes.job_clock import NOON, MovedClock
from tests.fakes.kept_jobs import ALL, ME, got, in_state, inserted

pytestmark = pytest.mark.asyncio

FOR_EVER = Unique(period_seconds=None)
SUCCESSFUL = Unique().states


def _new(sku: int = 7, unique: Unique = FOR_EVER, worker: str = "build") -> NewJob:
    return NewJob(worker, {"sku": sku}, unique=unique)


async def test_a_double_is_not_inserted_and_names_the_job_that_is_there(store: JobStore) -> None:
    (first,) = await store.insert([_new()])
    (second,) = await store.insert([_new()])
    assert (first.is_conflict, second.is_conflict, second.id) == (False, True, first.id)
    assert await store.count(ALL) == 1


async def test_doubles_within_one_bulk_are_found(store: JobStore) -> None:
    told = await store.insert([_new(number % 10) for number in range(100)])
    assert [one.is_conflict for one in told] == [False] * 10 + [True] * 90
    assert [one.id for one in told] == [one.id for one in told[:10]] * 10


async def test_of_many_at_once_one_wins_and_all_have_its_id(store: JobStore) -> None:
    told = await asyncio.gather(*(store.insert([_new()]) for _ in range(50)))
    assert sum(not one.is_conflict for (one,) in told) == 1
    assert len({one.id for (one,) in told}) == 1


@pytest.mark.parametrize("other", [_new(8), _new(worker="ship"), NewJob("build", {"sku": 7}, "slow", unique=FOR_EVER)])
async def test_what_differs_in_a_field_is_no_double(store: JobStore, other: NewJob) -> None:
    told = await store.insert([_new(), other])
    assert [one.is_conflict for one in told] == [False, False]


async def test_a_job_that_is_not_unique_is_nobodys_double(store: JobStore) -> None:
    told = await store.insert([_new(), NewJob("build", {"sku": 7}), NewJob("build", {"sku": 7})])
    assert not any(one.is_conflict for one in told)


async def test_only_the_named_keys_are_compared(store: JobStore) -> None:
    unique = Unique(keys=frozenset({"sku"}), period_seconds=None)
    told = await store.insert(
        [NewJob("b", {"sku": 7, "by": "ann"}, unique=unique), NewJob("b", {"sku": 7, "by": "bob"}, unique=unique)]
    )
    assert [one.is_conflict for one in told] == [False, True]


async def test_jobs_may_be_one_over_all_queues_and_by_their_meta(store: JobStore) -> None:
    unique = Unique(fields=frozenset({"worker", "meta"}), keys=frozenset({"tenant"}), period_seconds=None)
    told = await store.insert(
        [NewJob("b", {"n": n}, f"q{n}", meta={"tenant": "a", "n": n}, unique=unique) for n in range(2)]
    )
    assert [one.is_conflict for one in told] == [False, True]


async def test_the_period_counts_from_when_the_other_was_inserted(store: JobStore, clock: MovedClock) -> None:
    unique = Unique(period_seconds=60)
    (first,) = await store.insert([_new(unique=unique)])
    clock.move(60)
    assert (await store.insert([_new(unique=unique)]))[0].id == first.id
    clock.move(1)
    assert not (await store.insert([_new(unique=unique)]))[0].is_conflict


async def test_the_period_may_count_from_when_the_other_runs(store: JobStore, clock: MovedClock) -> None:
    unique = Unique(period_seconds=60, timestamp="scheduled_at")
    at = NOON + timedelta(seconds=1000)
    await store.insert([NewJob("build", {"sku": 7}, scheduled_at=at, unique=unique)])
    clock.move(1060)
    assert (await store.insert([_new(unique=unique)]))[0].is_conflict
    clock.move(1)
    assert not (await store.insert([_new(unique=unique)]))[0].is_conflict


@pytest.mark.parametrize("states", [SUCCESSFUL, INCOMPLETE, frozenset(STATES)], ids=["successful", "incomplete", "all"])
@pytest.mark.parametrize("state", STATES)
async def test_a_job_keeps_others_out_while_it_is_in_one_of_the_states(
    store: JobStore, state: JobState, states: frozenset[JobState]
) -> None:
    unique = Unique(period_seconds=None, states=states)
    job = await in_state(store, state, _new(unique=unique))
    (told,) = await store.insert([_new(unique=unique)])
    assert told.is_conflict is (state in states)
    (again,) = await store.insert([_new(unique=unique)])
    assert (again.is_conflict, again.id) == (True, told.id)
    assert (await got(store, job.id)).state == state


async def test_a_job_that_was_deleted_or_pruned_keeps_nobody_out(store: JobStore, clock: MovedClock) -> None:
    everything = Unique(period_seconds=None, states=frozenset(STATES))
    (first,) = await inserted(store, _new(unique=everything))
    await store.delete(JobFilter(ids=frozenset({first})))
    done = await in_state(store, "completed", _new(unique=everything))
    clock.move(1)
    assert await store.prune(PruneRule("completed", ended_before=clock())) == 1
    (told,) = await store.insert([_new(unique=everything)])
    assert not told.is_conflict
    assert told.id not in {first, done.id}


async def test_a_double_replaces_what_it_may_in_the_state_that_it_finds(store: JobStore) -> None:
    unique = Unique(
        keys=frozenset({"sku"}),
        period_seconds=None,
        replace={"scheduled": frozenset({"scheduled_at", "args", "tags"}), "available": frozenset({"priority"})},
    )
    soon, later = NOON + timedelta(seconds=10), NOON + timedelta(seconds=99)
    first = NewJob("b", {"sku": 7, "n": 1}, priority=5, scheduled_at=soon, unique=unique)
    second = NewJob("b", {"sku": 7, "n": 2}, priority=1, tags=["x"], scheduled_at=later, unique=unique)
    ((one,), (two,)) = (await store.insert([first]), await store.insert([second]))
    job = await got(store, one.id)
    assert (two.id, two.is_conflict) == (one.id, True)
    assert (job.scheduled_at, job.args, job.tags, job.priority) == (later, {"sku": 7, "n": 2}, ["x"], 5)
    await store.run_now(ALL)
    await store.insert([second])
    assert ((await got(store, one.id)).priority, (await got(store, one.id)).state) == (1, "available")
    await store.claim(ME, 1)
    await store.insert([first])
    assert (await got(store, one.id)).priority == 1
