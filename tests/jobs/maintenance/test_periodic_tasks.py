"""The stager, the lifeline and the pruner change the jobs of a store, and return when they are due again."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from headrace.database.heartbeat import MISSED_HEARTBEATS
from headrace.jobs.job import AttemptCompleted, AttemptFailed, NewJob, after
from headrace.jobs.maintenance.maintenance import (
    DISCARD_SECONDS,
    KEPT,
    PAUSE_SECONDS,
    PRUNE_SECONDS,
    STAGE_LIMIT,
    STAGE_SECONDS,
    DiscardExhausted,
    Pruner,
    Retention,
    Stager,
)
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.running.sync import RESCUE_SECONDS, Lifeline
from headrace.jobs.stores.sqlite_store import SqliteStore
from headrace.jobs.stores.store import CHANGE_BATCH, CRASH_LIMIT, EXHAUSTED_REASON, JobStore
from tests.fakes.elixir_rows import raw
from tests.fakes.job_clock import MovedClock
from tests.fakes.kept_jobs import ALL, ME, OTHER, ended, in_state, inserted

pytestmark = pytest.mark.asyncio


def follower(ids: list[int]) -> Callable[[Sequence[int]], Awaitable[None]]:
    async def follow_up(discarded: Sequence[int]) -> None:
        ids.extend(discarded)

    return follow_up


async def test_what_is_due_is_staged_and_its_queue_told(store: JobStore, clock: MovedClock) -> None:
    told: list[str] = []
    stage = Stager(store, clock, told.append)
    later = after(clock(), 0.5)
    await inserted(store, NewJob("build", queue="slow", scheduled_at=later), NewJob("build", scheduled_at=clock()))
    assert await stage.run() == 0.5
    assert told == ["default"]
    clock.move(0.5)
    await stage.run()
    assert told == ["default", "slow"]
    assert await store.count(JobFilter(states=frozenset({"available"}))) == 2


async def test_a_job_that_failed_is_staged_when_it_may_be_tried_again(store: JobStore, clock: MovedClock) -> None:
    told: list[str] = []
    await inserted(store, NewJob("build"))
    (job,) = await store.claim(ME, 1)
    await ended(store, job, AttemptFailed("no luck", 0.25))
    assert await Stager(store, clock, told.append).run() == 0.25
    clock.move(0.25)
    await Stager(store, clock, told.append).run()
    assert told == ["default"]


async def test_staging_looks_again_within_a_second_whatever_waits(store: JobStore, clock: MovedClock) -> None:
    stage = Stager(store, clock, lambda _: None)
    assert await stage.run() == STAGE_SECONDS < 1
    await inserted(store, NewJob("build", scheduled_at=after(clock(), 3600)))
    assert await stage.run() == STAGE_SECONDS


async def test_staging_of_very_many_goes_on_at_once(store: JobStore, clock: MovedClock) -> None:
    await inserted(store, *(NewJob("build", scheduled_at=clock()) for _ in range(STAGE_LIMIT + 1)))
    stage = Stager(store, clock, lambda _: None)
    assert await stage.run() == 0
    assert await stage.run() == STAGE_SECONDS
    assert await store.count(JobFilter(states=frozenset({"available"}))) == STAGE_LIMIT + 1


async def test_what_a_dead_process_ran_is_rescued_in_time(store: JobStore) -> None:
    await inserted(store, NewJob("build"))
    await store.claim(OTHER, 1)
    await store.leave(OTHER)
    discarded: list[int] = []
    rescue = Lifeline(store, follower(discarded))
    for _ in range(MISSED_HEARTBEATS + 1):
        await store.heartbeat()
    assert await rescue.run() == RESCUE_SECONDS
    assert discarded == []
    assert len(await store.claim(ME, 1)) == 1


async def test_what_kills_each_process_that_runs_it_is_set_aside_and_said(
    store: JobStore, caplog: pytest.LogCaptureFixture
) -> None:
    await inserted(store, NewJob("poison"))
    discarded: list[int] = []
    rescue = Lifeline(store, follower(discarded))
    with caplog.at_level(logging.ERROR):
        for _ in range(CRASH_LIMIT):
            await store.claim(OTHER, 1)
            await store.leave(OTHER)
            for _ in range(MISSED_HEARTBEATS + 1):
                await store.heartbeat()
            await rescue.run()
    assert discarded == [1]
    assert "is discarded: each process that ran it has died" in caplog.records[0].message


async def test_a_scheduled_time_that_is_none_makes_staging_neither_fail_nor_spin(
    tmp_path: Path, clock: MovedClock
) -> None:
    store = SqliteStore(tmp_path / "jobs.db", now=clock)
    await store.open()
    for time in ("yesterday", "", "9999-99-99", "2460000.5", "12:00"):
        raw(store.path, f"insert into oban_jobs (worker, state, scheduled_at) values ('a', 'scheduled', '{time}')")  # noqa: S608 - our own
    stage = Stager(store, clock, lambda _: None)
    assert [await stage.run(), await stage.run()] == [STAGE_SECONDS] * 2
    assert await store.count(JobFilter(states=frozenset({"available"}))) == 3  # "12:00" is of the year 2000
    await store.close()


async def test_an_available_job_without_an_attempt_left_is_discarded(store: JobStore, clock: MovedClock) -> None:
    first, _, third = await inserted(
        store, NewJob("a", max_attempts=0), NewJob("b"), NewJob("c", max_attempts=0, queue="other")
    )
    await inserted(store, NewJob("d", max_attempts=0, scheduled_at=after(clock(), 60)))
    discarded: list[int] = []
    assert await DiscardExhausted(store, follower(discarded)).run() == DISCARD_SECONDS
    assert discarded == [first, third]
    states = {job.id: (job.state, [error.error for error in job.errors]) for job in await store.find(ALL, 10)}
    assert states == {1: ("discarded", [EXHAUSTED_REASON]), 2: ("available", []), 3: states[1], 4: ("scheduled", [])}
    assert await store.retry(JobFilter(ids=frozenset({first}))) == [first]
    assert {job.id for job in await store.claim(ME, 5)} == {1, 2}


async def test_jobs_without_an_attempt_left_are_all_discarded_however_many(store: JobStore) -> None:
    await inserted(store, *(NewJob("a", max_attempts=0) for _ in range(CHANGE_BATCH + 1)))
    discard = DiscardExhausted(store, follower([]))
    assert await discard.run() == 0.0
    await discard.run()
    assert await store.count(JobFilter(states=frozenset({"discarded"}))) == CHANGE_BATCH + 1


async def test_a_long_look_for_jobs_without_an_attempt_left_is_followed_by_a_longer_rest(store: JobStore) -> None:
    times = iter([0.0, 10.0])
    assert await DiscardExhausted(store, follower([]), lambda: next(times)).run() == 200.0


async def test_what_ended_long_ago_is_pruned_and_no_more(store: JobStore, clock: MovedClock) -> None:
    prune = Pruner(store, [Retention("completed", 60), Retention("discarded", None, 1)], clock)
    for _ in range(3):
        await in_state(store, "completed")
        await in_state(store, "discarded")
        clock.move(40)
    waiting = await in_state(store, "available")
    assert await prune.run() == PRUNE_SECONDS
    left = [(job.state, job.id) for job in await store.find(ALL, 10)]
    assert left == [("available", waiting.id), ("discarded", 6), ("completed", 5)]
    assert prune.pruned == 4


async def test_pruning_of_very_many_goes_on_after_a_pause(store: JobStore, clock: MovedClock) -> None:
    await inserted(store, *(NewJob("build") for _ in range(CHANGE_BATCH + 1)))
    for job in await store.claim(ME, CHANGE_BATCH + 1):
        await ended(store, job, AttemptCompleted())
    clock.move(61)
    prune = Pruner(store, [Retention("completed", 60)], clock)
    assert await prune.run() == PAUSE_SECONDS
    assert await prune.run() == PRUNE_SECONDS
    assert await store.count(ALL) == 0


async def test_what_is_kept_without_end_is_never_asked_for(store: JobStore, clock: MovedClock) -> None:
    await in_state(store, "completed")
    clock.move(10**9)
    prune = Pruner(store, [Retention("completed")], clock)
    assert await prune.run() == PRUNE_SECONDS
    assert await store.count(ALL) == 1


async def test_each_end_of_a_job_is_pruned_in_time_unless_it_is_said_otherwise() -> None:
    assert [one.state for one in KEPT] == ["completed", "cancelled", "discarded"]
    assert all(one.seconds and one.count for one in KEPT)
