"""What keeps a store in order: leases, rescue, pruning, the crontab, and what is remembered of queues."""

import asyncio
from datetime import timedelta

import pytest

from headrace.database.heartbeat import MISSED_HEARTBEATS
from headrace.jobs.job import AttemptCompleted, JobError, JobState, MetaChange, NewJob, after
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.stores.store import (
    CRASH_LIMIT,
    JobStore,
    LeaseOwner,
    PruneRule,
    QueueSettings,
    Rescued,
)
from tests.fakes.job_clock import NOON, MovedClock
from tests.fakes.kept_jobs import ALL, ME, OTHER, ended, got, in_state, inserted

pytestmark = pytest.mark.asyncio


async def _rescued(store: JobStore) -> list[Rescued]:
    """Let as many beats pass as it takes to be dead."""
    for _ in range(MISSED_HEARTBEATS + 1):
        await store.heartbeat()
    return await store.rescue()


async def test_what_a_claimant_left_behind_is_rescued_and_costs_no_attempt(
    store: JobStore, announced: list[str]
) -> None:
    job = await in_state(store, "executing")
    await store.leave(ME)
    announced.clear()
    assert await _rescued(store) == [Rescued(job.id, "default", "available")]
    back = await got(store, job.id)
    assert (back.state, back.attempt, back.meta, announced) == ("available", 0, {"crashes": 1}, ["default"])
    assert await store.rescue() == []


async def test_what_a_living_claimant_runs_is_never_rescued_however_long(store: JobStore, clock: MovedClock) -> None:
    await in_state(store, "executing")
    clock.move(1e6)
    assert await _rescued(store) == []
    clock.move(-2e6)
    assert await _rescued(store) == []


async def test_only_what_the_dead_ran_is_rescued(store: JobStore) -> None:
    await inserted(store, NewJob("a"), NewJob("b"))
    (lost,), (kept,) = await store.claim(ME, 1), await store.claim(OTHER, 1)
    await store.leave(ME)
    assert [one.id for one in await _rescued(store)] == [lost.id]
    assert await got(store, kept.id) == kept


async def test_the_third_crash_sets_a_job_aside_and_says_why(store: JobStore, clock: MovedClock) -> None:
    (job_id,) = await inserted(store, NewJob("build"))
    for crash in (1, 2, 3):
        await store.claim(ME, 1)
        await store.leave(ME)
        (rescued,) = await _rescued(store)
        assert rescued.state == ("available" if crash < 3 else "discarded")
    job = await got(store, job_id)
    assert (job.state, job.discarded_at, job.meta) == ("discarded", clock(), {"crashes": 3})
    assert job.errors == [JobError(1, clock(), "crashed the process 3 times")]


async def test_the_death_of_a_process_that_was_asked_to_stop_is_no_crash_of_its_jobs(store: JobStore) -> None:
    (job_id,) = await inserted(store, NewJob("build"))
    for number in range(CRASH_LIMIT + 1):
        deployed = LeaseOwner("here", f"deploy {number}", "default")
        await store.claim(deployed, 1)
        await store.begin_stop(deployed)
        await store.leave(deployed)
        assert [one.state for one in await _rescued(store)] == ["available"]
    assert (await got(store, job_id)).meta == {}
    await store.claim(ME, 1)
    await store.leave(ME)
    await _rescued(store)
    assert (await got(store, job_id)).meta == {"crashes": 1}


async def test_what_was_rescued_is_not_ended_by_whom_it_was_taken_from(store: JobStore) -> None:
    job = await in_state(store, "executing")
    await store.leave(ME)
    await _rescued(store)
    (again,) = await store.claim(OTHER, 1)
    assert again.attempt == job.attempt
    assert await ended(store, job, AttemptCompleted()) == again
    assert await store.lost(ME, [job.id]) == [job.id]


async def test_what_was_rescued_is_not_touched_by_notes_of_whom_it_was_taken_from(store: JobStore) -> None:
    job = await in_state(store, "executing")
    await store.leave(ME)
    await _rescued(store)
    (again,) = await store.claim(OTHER, 1)
    assert again.attempt == job.attempt
    await store.merge([MetaChange(job.id, job.attempt, job.attempted_by, {"checkpoint": 1, "progress": 0.9})])
    assert await got(store, job.id) == again
    await store.merge([MetaChange(again.id, again.attempt, again.attempted_by, {"checkpoint": 2})])
    assert (await got(store, job.id)).meta == {**again.meta, "checkpoint": 2}


@pytest.mark.parametrize("state", ["completed", "cancelled", "discarded"])
async def test_what_ended_before_is_pruned_as_often_as_it_takes(
    store: JobStore, clock: MovedClock, state: JobState
) -> None:
    old = [(await in_state(store, state)).id for _ in range(5)]
    clock.move(10)
    kept = await in_state(store, state)
    rule = PruneRule(state, ended_before=NOON + timedelta(seconds=9))  # type: ignore[arg-type] # it is one of the three
    assert [await store.prune(rule, 2) for _ in range(4)] == [2, 2, 1, 0]
    assert [await store.get(job_id) for job_id in old] == [None] * 5
    assert await store.find(ALL, 10) == [kept]


async def test_all_but_the_newest_are_pruned(store: JobStore) -> None:
    jobs = [await in_state(store, "completed") for _ in range(5)]
    waiting = await in_state(store, "available")
    assert await store.prune(PruneRule("completed", keep=2)) == 3
    assert await store.prune(PruneRule("completed", keep=2)) == 0
    assert await store.find(ALL, 10) == [waiting, jobs[4], jobs[3]]


async def test_a_job_that_was_called_off_before_its_time_is_pruned_too(store: JobStore, clock: MovedClock) -> None:
    await inserted(store, NewJob("build", scheduled_at=NOON + timedelta(days=30)))
    await store.cancel(ALL)
    clock.move(1)
    assert await store.prune(PruneRule("cancelled", ended_before=clock())) == 1


async def test_one_leads_at_a_time_until_it_resigns_or_its_lease_ends(store: JobStore, clock: MovedClock) -> None:
    assert await store.lead("upkeep", "a", 30)
    assert not await store.lead("upkeep", "b", 30)
    assert await store.lead("other", "b", 30)
    clock.move(20)
    assert await store.lead("upkeep", "a", 30)
    clock.move(29)
    assert not await store.lead("upkeep", "b", 30)
    clock.move(1)
    assert await store.lead("upkeep", "b", 30)
    await store.resign("upkeep", "a")
    assert not await store.lead("upkeep", "a", 30)
    await store.resign("upkeep", "b")
    assert await store.lead("upkeep", "a", 30)


async def test_a_clock_that_was_set_back_leaves_nobody_without_a_leader(store: JobStore, clock: MovedClock) -> None:
    assert await store.lead("upkeep", "dead", 30)
    clock.move(-3600)
    assert await store.lead("upkeep", "b", 30)


async def test_of_many_who_insert_one_entry_of_the_crontab_one_does(store: JobStore) -> None:
    told = await asyncio.gather(*(store.insert_once("nightly", NOON, NewJob("night")) for _ in range(10)))
    assert sum(one is not None for one in told) == 1
    assert await store.insert_once("nightly", NOON - timedelta(hours=1), NewJob("night")) is None
    later = NOON + timedelta(days=1)
    assert await store.insert_once("nightly", later, NewJob("night")) is not None
    assert await store.insert_once("hourly", NOON, NewJob("hour")) is not None
    assert await store.last_runs() == {"nightly": later, "hourly": NOON}
    assert await store.count(JobFilter(workers=frozenset({"night"}))) == 2


async def test_what_is_said_about_a_queue_is_kept_until_it_is_forgotten(store: JobStore) -> None:
    await store.change_queue("slow", is_paused=True)
    await store.change_queue("mail", limit=5)
    await store.change_queue("mail", is_paused=True)
    await store.change_queue("slow", limit=2, is_paused=False)
    assert await store.queue_settings() == [QueueSettings("mail", 5, True), QueueSettings("slow", 2, False)]
    await store.forget_queue("mail")
    assert await store.queue_settings() == [QueueSettings("slow", 2, False)]


async def test_a_mark_of_the_crontab_only_goes_forward(store: JobStore, clock: MovedClock) -> None:
    await store.record_run("nightly", clock())
    await store.record_run("nightly", after(clock(), -60))
    assert await store.last_runs() == {"nightly": clock()}
    assert await store.insert_once("nightly", clock(), NewJob("build")) is None
    await store.record_run("nightly", after(clock(), 60))
    assert await store.last_runs() == {"nightly": after(clock(), 60)}


async def test_a_store_knows_when_the_first_of_those_is_due_that_wait(store: JobStore, clock: MovedClock) -> None:
    assert await store.due_at() is None
    times = [after(clock(), seconds) for seconds in (60, 5, 90)]
    await store.insert([NewJob("build"), *(NewJob("build", scheduled_at=time) for time in times)])
    assert await store.due_at() == times[1]
    clock.move(7)
    assert await store.due_at() == times[1]
    await store.stage(10)
    assert await store.due_at() == times[0]
