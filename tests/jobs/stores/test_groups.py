"""What stores do for workflows, batches and results: who was there already, who is kept, whose result is too old."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from headrace.jobs.job import DUPLICATES, KEEP_SECONDS, AttemptCompleted, NewJob, Unique
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.stores.store import JobStore, PruneRule
from tests.fakes.job_clock import NOON, MovedClock
from tests.fakes.kept_jobs import ALL, ME, ended, got, in_state, inserted

pytestmark = pytest.mark.asyncio

ONE = NewJob("build", {"sku": 7}, unique=Unique(period_seconds=None))
A_MINUTE = replace(ONE, unique=Unique(period_seconds=None, result_seconds=60))
EVERYTHING = PruneRule("completed", ended_before=NOON + timedelta(days=9000))


async def test_the_double_of_a_job_is_found_in_whatever_state(store: JobStore) -> None:
    assert await store.conflict_of(ONE) is None
    first = await in_state(store, "completed", ONE)
    assert await store.conflict_of(ONE) == first
    assert await asyncio.to_thread(store.conflict_of_sync, ONE) == first
    assert await store.conflict_of(replace(ONE, args={"sku": 8})) is None
    assert await store.conflict_of(replace(ONE, unique=None)) is None


async def test_a_result_that_is_too_old_keeps_nobody_out(store: JobStore, clock: MovedClock) -> None:
    (first,) = await inserted(store, A_MINUTE)
    clock.move(3600)
    assert [one.is_conflict for one in await store.insert([A_MINUTE])] == [True]  # it waits, however long
    (job,) = await store.claim(ME, 1)
    await ended(store, job, AttemptCompleted())
    clock.move(60)
    assert await inserted(store, A_MINUTE) == [first]
    clock.move(1)
    (second,) = await inserted(store, A_MINUTE)
    assert second > first
    assert await store.conflict_of(A_MINUTE) == await got(store, second)


async def test_who_awaits_a_double_learns_who_was_there(store: JobStore) -> None:
    (there,) = await inserted(store, ONE)
    after = NewJob("ship", meta={"by": "ann"}, awaits=("a", "b"))
    told = await store.insert([replace(ONE, label="a"), NewJob("pack", label="b"), after, NewJob("tell")])
    assert [one.is_conflict for one in told] == [True, False, False, False]
    assert (await got(store, told[2].id)).meta == {"by": "ann", DUPLICATES: {"a": there}}
    assert (await got(store, told[3].id)).meta == {}


@pytest.mark.parametrize("key", ["workflow_id", "batch_id"])
@pytest.mark.parametrize("rule", [EVERYTHING, PruneRule("completed", keep=0)])
async def test_members_are_kept_as_long_as_others_have_not_ended(store: JobStore, key: str, rule: PruneRule) -> None:
    ids = await inserted(store, NewJob("a", meta={key: "x"}), NewJob("b", meta={key: "y"}), NewJob("c"))
    for job in await store.claim(ME, 3):
        await ended(store, job, AttemptCompleted())
    (waiting,) = await inserted(store, NewJob("d", meta={key: "x"}, state="suspended"))
    assert await store.prune(rule) == 2
    assert [job.id for job in await store.find(ALL, 9)] == [waiting, ids[0]]
    await store.cancel(ALL)
    assert await store.prune(rule) == 1


@pytest.mark.parametrize("rule", [EVERYTHING, PruneRule("completed", keep=0)])
async def test_what_is_to_be_kept_is_not_pruned_before(store: JobStore, clock: MovedClock, rule: PruneRule) -> None:
    ids = await inserted(store, NewJob("a", meta={KEEP_SECONDS: 60}), NewJob("b", meta={KEEP_SECONDS: "?"}))
    for job in await store.claim(ME, 3):
        await ended(store, job, AttemptCompleted())
    assert await store.prune(rule) == 1
    clock.move(59)
    assert await store.prune(rule) == 0
    clock.move(2)
    assert await store.prune(rule) == 1
    assert not await store.has(JobFilter(ids=frozenset(ids)))
