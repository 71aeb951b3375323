"""What may be done to jobs from outside: Oban's transitions."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from headrace.jobs.job import INCOMPLETE, STATES, AttemptFailed, JobState, NewJob
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.stores.store import CHANGE_BATCH, JobStore
from tests.fakes.job_clock import NOON, MovedClock
from tests.fakes.kept_jobs import ALL, ME, ended, got, in_state, inserted

pytestmark = pytest.mark.asyncio

Change = Callable[[JobStore, JobFilter], Awaitable[list[int]]]

CHANGES: dict[str, tuple[Change, frozenset[JobState], JobState | None]] = {
    "cancel": (
        lambda store, which: store.cancel(which),
        INCOMPLETE,
        "cancelled",
    ),
    "retry": (
        lambda store, which: store.retry(which),
        frozenset(STATES) - {"available", "executing"},
        "available",
    ),
    "run_now": (lambda store, which: store.run_now(which), frozenset({"scheduled", "retryable"}), "available"),
    "release": (lambda store, which: store.release(which), frozenset({"suspended"}), "available"),
    "suspend": (
        lambda store, which: store.suspend(which),
        frozenset(STATES) - {"suspended", "executing"},
        "suspended",
    ),
    "delete": (lambda store, which: store.delete(which), frozenset(STATES) - {"executing"}, None),
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("what", CHANGES)
async def test_a_change_concerns_jobs_in_the_right_states_alone(store: JobStore, what: str, state: JobState) -> None:
    change, allowed, becomes = CHANGES[what]
    job = await in_state(store, state)
    assert await change(store, JobFilter(ids=frozenset({job.id, 999}))) == ([job.id] if state in allowed else [])
    after = await store.get(job.id)
    assert (after and after.state) == (becomes if state in allowed else state)


async def test_a_running_job_is_cancelled_at_once(store: JobStore, clock: MovedClock) -> None:
    job = await in_state(store, "executing")
    clock.move(5)
    await store.cancel(ALL)
    cancelled = await got(store, job.id)
    assert (cancelled.state, cancelled.cancelled_at, cancelled.errors) == ("cancelled", clock(), [])


@pytest.mark.parametrize("state", ["completed", "cancelled", "discarded"])
async def test_a_retry_begins_anew_with_an_attempt_to_spare(
    store: JobStore, clock: MovedClock, state: JobState
) -> None:
    (job_id,) = await inserted(store, NewJob("build", max_attempts=1, meta={"crashes": 2, "by": "ann"}))
    (job,) = await store.claim(ME, 1)
    await ended(store, job, AttemptFailed("no luck", None))
    clock.move(5)
    assert await store.retry(ALL) == [job_id]
    again = await got(store, job_id)
    assert (again.state, again.scheduled_at, again.attempt, again.max_attempts) == ("available", clock(), 1, 2)
    assert (again.completed_at, again.cancelled_at, again.discarded_at, len(again.errors)) == (None, None, None, 1)
    assert again.meta == {"by": "ann"}


async def test_what_is_released_before_its_time_waits_for_it(store: JobStore) -> None:
    later = NOON + timedelta(seconds=60)
    ids = await inserted(store, NewJob("a", state="suspended"), NewJob("b", state="suspended", scheduled_at=later))
    assert await store.release(ALL) == ids
    assert [(await got(store, job_id)).state for job_id in ids] == ["available", "scheduled"]


async def test_the_next_job_of_a_chain_is_released_only_while_no_other_may_run(store: JobStore) -> None:
    chain = {"chain_id": "c"}
    other = NewJob("x", meta={"chain_id": "d"})
    ids = await inserted(store, *(NewJob("a", state="suspended", meta=chain) for _ in range(2)), other)
    assert await store.release_next("c") == ids[:1]
    assert await store.release_next("c") == []
    await store.cancel(JobFilter(ids=frozenset(ids[:1])))
    assert await store.release_next("c") == ids[1:2]
    assert await store.release_next("d") == []


async def test_what_becomes_available_is_announced(store: JobStore, announced: list[str]) -> None:
    for queue in ("a", "b", "c"):
        await inserted(store, NewJob("x", queue=queue, state="suspended"))
    await inserted(store, NewJob("x", queue="d", scheduled_at=NOON + timedelta(hours=1)))
    announced.clear()
    await store.release(JobFilter(queues=frozenset({"a"})))
    await store.retry(JobFilter(queues=frozenset({"b"})))
    await store.run_now(JobFilter(queues=frozenset({"d"})))
    await store.cancel(JobFilter(queues=frozenset({"c"})))
    await store.delete(ALL)
    assert announced == ["a", "b", "d"]


async def test_a_change_of_many_concerns_all_that_fit_and_no_others(store: JobStore) -> None:
    count = 2 * CHANGE_BATCH + 7
    ids = await inserted(store, *(NewJob(f"w{number % 2}") for number in range(count)))
    assert await store.cancel(JobFilter(workers=frozenset({"w1"}))) == ids[1::2]
    assert await store.count(JobFilter(states=frozenset({"available"}))) == len(ids[::2])
    assert await store.delete(JobFilter(states=frozenset({"cancelled"}))) == ids[1::2]
    assert await store.count(ALL) == len(ids[::2])


async def test_what_is_suspended_again_has_an_attempt_to_spare_once_released(store: JobStore) -> None:
    (job_id,) = await inserted(store, NewJob("build", max_attempts=1))
    (job,) = await store.claim(ME, 1)
    await ended(store, job, AttemptFailed("no luck", None))
    assert await store.suspend(ALL) == [job_id]
    held = await got(store, job_id)
    assert (held.state, held.discarded_at, held.attempt, held.max_attempts) == ("suspended", None, 1, 2)
    assert await store.claim(ME, 1) == []
    await store.release(ALL)
    assert [one.id for one in await store.claim(ME, 1)] == [job_id]
