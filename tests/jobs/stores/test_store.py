"""What every store of jobs keeps: how a job comes in, runs and ends."""

import asyncio
from datetime import timedelta

import pytest

from headrace.jobs.errors import NotJson
from headrace.jobs.job import (
    AttemptCancelled,
    AttemptCompleted,
    AttemptFailed,
    AttemptReleased,
    AttemptSnoozed,
    JobAck,
    JobError,
    JobOutcome,
    MetaChange,
    NewJob,
)
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.stores.store import JobStore, LeaseOwner
from tests.fakes.job_clock import NOON, MovedClock
from tests.fakes.kept_jobs import ME, OTHER, ended, got, in_state, inserted

pytestmark = pytest.mark.asyncio


async def test_a_job_is_kept_as_it_was_inserted(store: JobStore) -> None:
    new = NewJob("build", {"sku": 7, "to": ["ü", None, 2.5]}, "slow", 3, 5, [" Big ", "big", "EU"], {"by": "ann"})
    (job_id,) = await inserted(store, new)
    job = await got(store, job_id)
    assert (job.worker, job.args, job.queue, job.priority, job.max_attempts) == ("build", new.args, "slow", 3, 5)
    assert (job.tags, job.meta, job.state, job.attempt, job.errors) == (
        ["big", "eu"],
        {"by": "ann"},
        "available",
        0,
        [],
    )
    assert (job.inserted_at, job.scheduled_at, job.attempted_by) == (NOON, NOON, [])


async def test_ids_come_back_in_the_order_of_the_jobs(store: JobStore) -> None:
    ids = await inserted(store, *(NewJob(f"w{number}") for number in range(50)))
    assert [(await got(store, job_id)).worker for job_id in ids] == [f"w{number}" for number in range(50)]


async def test_what_is_no_json_is_refused_with_all_that_came_with_it(store: JobStore) -> None:
    for args in ({"at": NOON}, {"x": float("nan")}, {"x": "\ud800"}, {"x": {1: 2}.keys()}):
        with pytest.raises(NotJson, match="worker 'build' cannot be kept as JSON"):
            await store.insert([NewJob("fine"), NewJob("build", args)])
    assert await store.counts() == []


async def test_a_thread_inserts_too(store: JobStore) -> None:
    (told,) = await asyncio.to_thread(store.insert_sync, [NewJob("build")])
    assert (await got(store, told.id)).worker == "build"


async def test_only_jobs_that_may_run_at_once_are_announced(store: JobStore, announced: list[str]) -> None:
    announced.clear()
    await store.insert([NewJob("a", queue="x"), NewJob("b", queue="x"), NewJob("c", queue="y", scheduled_at=NOON)])
    await asyncio.to_thread(store.insert_sync, [NewJob("d", queue="z"), NewJob("e", state="suspended", queue="y")])
    assert announced == ["x", "z"]


async def test_a_claimed_job_executes_and_says_who_runs_it(store: JobStore, clock: MovedClock) -> None:
    await inserted(store, NewJob("build", {"sku": 7}))
    clock.move(5)
    (job,) = await store.claim(ME, 10)
    assert (job.state, job.attempt, job.args, job.attempted_by) == ("executing", 1, {"sku": 7}, ["here", "u-1"])
    assert job.attempted_at == NOON + timedelta(seconds=5)
    assert await got(store, job.id) == job


async def test_nothing_is_claimed_twice_nor_from_another_queue_nor_more_than_asked(store: JobStore) -> None:
    await inserted(store, *(NewJob("build", {"n": n}) for n in range(5)), NewJob("other", queue="slow"))
    claims = await asyncio.gather(*(store.claim(one, 2) for one in (ME, OTHER, ME, OTHER)))
    assert sorted(len(claim) for claim in claims) == [0, 1, 2, 2]
    assert sorted(str(job.args["n"]) for claim in claims for job in claim) == ["0", "1", "2", "3", "4"]


async def test_urgent_jobs_come_first_and_then_the_oldest(store: JobStore, clock: MovedClock) -> None:
    for name, priority in (("c", 3), ("a", 0), ("d", 3), ("b", 0)):
        await inserted(store, NewJob(name, priority=priority))
        clock.move(1)
    assert [job.worker for job in await store.claim(ME, 3)] == ["a", "b", "c"]


async def test_jobs_of_unknown_workers_are_left_alone(store: JobStore) -> None:
    await inserted(store, NewJob("stranger"), NewJob("build"), NewJob("stranger"), NewJob("ship"))
    known = LeaseOwner("here", "u-1", "default", ("build", "ship"))
    assert [job.worker for job in await store.claim(known, 10)] == ["build", "ship"]
    assert await store.claim(LeaseOwner("here", "u-3", "default", ()), 10) == []
    assert await store.count(JobFilter(states=frozenset({"available"}))) == 2


async def test_a_completed_job_is_not_claimed_again(store: JobStore, clock: MovedClock) -> None:
    job = await in_state(store, "executing")
    clock.move(3)
    done = await ended(store, job, AttemptCompleted({"recorded": True, "return": 7}))
    assert (done.state, done.completed_at) == ("completed", clock())
    assert done.meta == {"recorded": True, "return": 7}
    assert await store.claim(ME, 10) == []


async def test_a_failed_job_is_staged_when_its_time_has_come(store: JobStore, clock: MovedClock) -> None:
    job = await in_state(store, "executing")
    failed = await ended(store, job, AttemptFailed("no luck", 10))
    assert (failed.state, failed.scheduled_at) == ("retryable", NOON + timedelta(seconds=10))
    clock.move(9)
    assert await store.stage(100) == set()
    clock.move(1)
    assert await store.stage(100) == {"default"}
    (again,) = await store.claim(ME, 1)
    assert (again.attempt, again.errors) == (2, [JobError(1, NOON, "no luck")])


async def test_staging_takes_what_is_due_first_and_no_more_than_it_may(store: JobStore, clock: MovedClock) -> None:
    for seconds in (30, 10, 20):
        await inserted(
            store, NewJob(f"w{seconds}", queue=f"q{seconds}", scheduled_at=NOON + timedelta(seconds=seconds))
        )
    clock.move(25)
    assert await store.stage(1) == {"q10"}
    assert await store.stage(10) == {"q20"}
    assert await store.stage(10) == set()


async def test_a_job_that_failed_for_good_is_discarded(store: JobStore, clock: MovedClock) -> None:
    job = await ended(store, await in_state(store, "executing"), AttemptFailed("no luck", None, {"seen": 1}))
    assert (job.state, job.discarded_at, job.errors) == ("discarded", NOON, [JobError(1, NOON, "no luck")])
    assert job.meta == {"seen": 1}


async def test_a_job_that_calls_itself_off_is_cancelled(store: JobStore) -> None:
    job = await ended(store, await in_state(store, "executing"), AttemptCancelled("not needed"))
    assert (job.state, job.cancelled_at, [error.error for error in job.errors]) == ("cancelled", NOON, ["not needed"])


async def test_a_snoozed_job_has_used_no_attempt_and_is_counted(store: JobStore, clock: MovedClock) -> None:
    job = await in_state(store, "executing")
    for times in (1, 2):
        job = await ended(store, job, AttemptSnoozed(60, {"at": times}))
        assert (job.state, job.attempt, job.meta) == ("scheduled", 0, {"snoozed": times, "at": times})
        assert job.scheduled_at == clock() + timedelta(seconds=60)
        clock.move(60)
        await store.stage(1)
        (job,) = await store.claim(ME, 1)
    assert job.attempt == 1


async def test_a_job_that_was_put_back_has_used_no_attempt_and_is_announced(
    store: JobStore, announced: list[str]
) -> None:
    job = await in_state(store, "executing")
    announced.clear()
    back = await ended(store, job, AttemptReleased({"cursor": 3}))
    assert (back.state, back.attempt, back.meta, announced) == ("available", 0, {"cursor": 3}, ["default"])


OUTCOMES: list[JobOutcome] = [
    AttemptCompleted(),
    AttemptCompleted({"x": 1}),
    AttemptFailed("e", 1),
    AttemptFailed("e", None),
    AttemptCancelled("e"),
    AttemptSnoozed(1),
    AttemptReleased(),
]


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda outcome: type(outcome).__name__)
async def test_an_attempt_that_is_no_longer_the_present_one_changes_nothing(
    store: JobStore, outcome: JobOutcome
) -> None:
    job = await in_state(store, "executing")
    assert await ended(store, job, outcome, OTHER) == job
    await store.acknowledge(ME, [JobAck(job.id, 2, outcome), JobAck(999, 1, outcome)])
    assert await got(store, job.id) == job
    done = await ended(store, job, AttemptCompleted())
    assert await ended(store, job, outcome) == done


async def test_many_acknowledgements_are_written_at_once(store: JobStore) -> None:
    await inserted(store, *(NewJob("build") for _ in OUTCOMES))
    jobs = await store.claim(ME, 100)
    told = [JobAck(job.id, 1, outcome) for job, outcome in zip(jobs, OUTCOMES, strict=True)]
    await store.acknowledge(ME, told)
    states = [(await got(store, job.id)).state for job in jobs]
    assert states == ["completed", "completed", "retryable", "discarded", "cancelled", "scheduled", "available"]


async def test_a_merge_replaces_keys_whole_and_null_takes_one_away(store: JobStore) -> None:
    await inserted(store, NewJob("build", meta={"cursor": {"page": 1}, "note": "x", "kept": True}))
    (job,) = await store.claim(ME, 1)
    by = job.attempted_by
    change = MetaChange(job.id, 1, by, {"cursor": {"line": 5}, "note": None})
    await store.merge([change, MetaChange(job.id, 2, by, {"no": 1})])
    assert (await got(store, job.id)).meta == {"cursor": {"line": 5}, "kept": True}
    done = await ended(store, job, AttemptCompleted({"cursor": None}))
    await store.merge([MetaChange(job.id, 1, by, {"late": 1})])
    assert (await got(store, job.id)).meta == done.meta == {"kept": True}


async def test_a_claimant_learns_which_of_its_jobs_it_has_lost(store: JobStore) -> None:
    ids = await inserted(store, *(NewJob("build") for _ in range(4)))
    await store.claim(ME, 3)
    await store.claim(OTHER, 1)
    assert await store.lost(ME, ids[:3]) == []
    await store.cancel(JobFilter(ids=frozenset({ids[1]})))
    assert await store.lost(ME, [*ids, 999]) == [ids[1], ids[3], 999]
    assert await store.lost(ME, []) == []
    late = await ended(store, (await got(store, ids[1])), AttemptCancelled("cancelled while it ran"))
    assert (late.state, [error.error for error in late.errors]) == ("cancelled", ["cancelled while it ran"])


async def test_many_that_are_alike_but_for_their_args_keep_their_own_and_their_order(store: JobStore) -> None:
    args: list[dict[str, object]] = [{"number": number, "text": f'é "{number}"', "deep": [{}]} for number in range(99)]
    told = await store.insert([NewJob("bulk", one, tags=["a"], priority=3) for one in args])
    assert [one.id for one in told] == list(range(told[0].id, told[0].id + 99))
    jobs = [await store.get(one.id) for one in told]
    assert [job.args for job in jobs if job is not None] == args
    assert {(job.worker, job.priority, *job.tags, job.state) for job in jobs if job is not None} == {
        ("bulk", 3, "a", "available")
    }
    with pytest.raises(NotJson, match="bulk"):
        await store.insert([NewJob("bulk", {"at": object()}) for _ in range(99)])
