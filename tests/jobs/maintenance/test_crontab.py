"""The crontab enqueues each time once, and makes up for what was missed as it is told."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.jobs.errors import BadCron, BadCrontab
from headrace.jobs.job import NewJob, from_text
from headrace.jobs.maintenance.crontab import CatchUp, CronEntry, Crontab, plain_job
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.stores.memory_store import MemoryStore
from headrace.jobs.stores.sqlite_store import SqliteStore
from headrace.jobs.stores.store import JobStore
from tests.fakes.job_clock import MovedClock
from tests.fakes.upkeep import StoreDown

HOUR = 3600
BEFORE_CORRECTION = timedelta(minutes=179)
"""By so much a clock may be set back without a time that is enqueued twice."""


def hourly(catch_up: CatchUp = "none", limit: int = 100) -> CronEntry:
    return CronEntry("@hourly", "build", {"sku": 7}, name="hourly", catch_up=catch_up, catch_up_limit=limit)


async def enqueued(store: JobStore) -> list[str]:
    """Return for which times there are jobs, in the order in which they were enqueued."""
    jobs = await store.find(JobFilter(), 10_000, is_newest_first=False)
    return [from_text(str(job.meta["cron_at"])).strftime("%d %H:%M") for job in jobs]


async def run_every_minute(clock: MovedClock, crontabs: Sequence[Crontab], minutes: int) -> None:
    for _ in range(minutes):
        for crontab in crontabs:
            await crontab.run()
        clock.move(60)


@pytest.mark.asyncio
async def test_each_time_is_enqueued_once_when_it_comes(store: JobStore, clock: MovedClock) -> None:
    crontab = Crontab(store, [hourly()], clock)
    await run_every_minute(clock, [crontab], 200)
    assert await enqueued(store) == ["24 13:00", "24 14:00", "24 15:00"]


@pytest.mark.asyncio
async def test_a_job_of_the_crontab_says_so_as_oban_does(store: JobStore, clock: MovedClock) -> None:
    entry = CronEntry("0 13 * * *", "build", {"sku": 7}, "slow", "Etc/UTC", "nightly")
    await run_every_minute(clock, [Crontab(store, [entry], clock)], 61)
    (job,) = await store.find(JobFilter(), 10)
    assert (job.worker, job.queue, job.args, job.state) == ("build", "slow", {"sku": 7}, "available")
    assert job.meta == {
        "cron": True,
        "cron_expr": "0 13 * * *",
        "cron_name": "nightly",
        "cron_tz": "Etc/UTC",
        "cron_at": "2026-11-24T13:00:00.000000Z",
    }


@pytest.mark.asyncio
async def test_the_job_is_made_by_who_knows_the_worker(store: JobStore, clock: MovedClock) -> None:
    def made(entry: CronEntry) -> NewJob:
        return NewJob(entry.worker, entry.args, "own", tags=["t"], meta={"kept": 1})

    await run_every_minute(clock, [Crontab(store, [hourly()], clock, made)], 61)
    (job,) = await store.find(JobFilter(), 10)
    assert (job.queue, job.tags, job.meta["kept"], job.meta["cron"]) == ("own", ["t"], 1, True)


@pytest.mark.asyncio
async def test_it_is_looked_at_again_when_something_is_due_or_soon(store: JobStore, clock: MovedClock) -> None:
    crontab = Crontab(store, [hourly(), CronEntry("@reboot", "build")], clock)
    assert await crontab.run() == 1.0
    clock.move(HOUR - 0.25)
    assert await crontab.run() == 0.25


@pytest.mark.asyncio
async def test_many_processes_on_one_file_enqueue_each_time_once(tmp_path: Path, clock: MovedClock) -> None:
    stores = [SqliteStore(tmp_path / "jobs.db", now=clock) for _ in range(4)]
    for store in stores:
        await store.open()
    crontabs = [Crontab(store, [hourly("all"), CronEntry("30 * * * *", "other")], clock) for store in stores]
    for _ in range(7):
        await asyncio.gather(*(crontab.run() for crontab in crontabs))
        clock.move(30 * 60)
    times = ["12:30", "13:00", "13:30", "14:00", "14:30", "15:00"]
    assert sorted(await enqueued(stores[0])) == [f"24 {time}" for time in times]
    for store in stores:
        await store.close()


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("catch_up", "limit", "made_up_for"),
    [
        ("none", 100, []),
        ("last", 100, ["25 12:00"]),
        ("all", 3, ["25 10:00", "25 11:00", "25 12:00"]),
        ("all", 100, [f"24 {hour}:00" for hour in range(14, 24)] + [f"25 {hour:02}:00" for hour in range(13)]),
    ],
)
async def test_what_was_missed_is_made_up_for_as_the_entry_says(
    store: JobStore, clock: MovedClock, catch_up: CatchUp, limit: int, made_up_for: list[str]
) -> None:
    await run_every_minute(clock, [Crontab(store, [hourly(catch_up, limit)], clock)], 61)
    clock.move(23.5 * HOUR)
    await Crontab(store, [hourly(catch_up, limit)], clock).run()
    assert await enqueued(store) == ["24 13:00", *made_up_for]


@pytest.mark.asyncio
async def test_what_a_restart_came_in_between_of_is_not_missed(store: JobStore, clock: MovedClock) -> None:
    await Crontab(store, [hourly()], clock).run()
    clock.move(HOUR + 40)
    await Crontab(store, [hourly()], clock).run()
    assert await enqueued(store) == ["24 13:00"]


@pytest.mark.asyncio
@pytest.mark.parametrize("catch_up", ["none", "last", "all"])
async def test_an_entry_has_missed_nothing_before_it_was_first_seen(
    store: JobStore, clock: MovedClock, catch_up: CatchUp
) -> None:
    await Crontab(store, [hourly(catch_up)], clock).run()
    assert await enqueued(store) == []


@pytest.mark.asyncio
async def test_what_was_missed_before_the_first_job_is_made_up_for(store: JobStore, clock: MovedClock) -> None:
    await Crontab(store, [hourly("last")], clock).run()
    clock.move(5.5 * HOUR)
    await Crontab(store, [hourly("last")], clock).run()
    assert await enqueued(store) == ["24 17:00"]


@pytest.mark.asyncio
@pytest.mark.parametrize("catch_up", ["none", "last", "all"])
async def test_a_clock_set_back_by_an_hour_enqueues_nothing_twice(
    store: JobStore, clock: MovedClock, catch_up: CatchUp
) -> None:
    crontabs = [Crontab(store, [hourly(catch_up)], clock)]
    await run_every_minute(clock, crontabs, 90)
    clock.move(-HOUR)
    crontabs.append(Crontab(store, [hourly(catch_up)], clock))
    await run_every_minute(clock, crontabs, 100)
    assert await enqueued(store) == ["24 13:00", "24 14:00"]


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("catch_up", "times"), [("none", []), ("last", ["24 15:00"]), ("all", ["24 13:00", "24 14:00", "24 15:00"])]
)
async def test_a_clock_set_forward_is_time_that_was_missed(
    store: JobStore, clock: MovedClock, catch_up: CatchUp, times: list[str]
) -> None:
    crontab = Crontab(store, [hourly(catch_up)], clock)
    await run_every_minute(clock, [crontab], 10)
    clock.move(3.5 * HOUR)
    await run_every_minute(clock, [crontab], 10)
    assert await enqueued(store) == times


@pytest.mark.asyncio
async def test_the_autumn_night_enqueues_what_runs_at_a_set_time_once(store: JobStore) -> None:
    clock = MovedClock(datetime(2026, 10, 24, 22, 30, tzinfo=UTC))
    entry = CronEntry("30 2 * * *", "build", timezone="Europe/Berlin", catch_up="all")
    await run_every_minute(clock, [Crontab(store, [entry], clock) for _ in range(2)], 5 * 60)
    assert await enqueued(store) == ["25 00:30"]


@pytest.mark.asyncio
async def test_a_clock_that_was_hours_ahead_does_not_stop_an_entry_until_then(
    store: JobStore, clock: MovedClock, caplog: pytest.LogCaptureFixture
) -> None:
    await store.record_run("hourly", clock.time.replace(year=2030))
    crontab = Crontab(store, [hourly()], clock)
    await run_every_minute(clock, [crontab], 100)
    assert await enqueued(store) == ["24 13:00"]
    (said,) = [record.message for record in caplog.records]
    assert "'hourly' of the crontab was last enqueued at 2030-11-24T12:00:00+00:00, and goes on" in said


@pytest.mark.asyncio
async def test_an_entry_that_waits_for_a_clock_set_back_is_named_once(
    store: JobStore, clock: MovedClock, caplog: pytest.LogCaptureFixture
) -> None:
    await store.record_run("hourly", clock.time + timedelta(hours=2))
    await run_every_minute(clock, [Crontab(store, [hourly()], clock)], 100)
    assert await enqueued(store) == []
    (said,) = [record.message for record in caplog.records]
    assert said.endswith("enqueues nothing until then")


@pytest.mark.asyncio
@pytest.mark.parametrize("is_restarted", [False, True])
async def test_an_entry_of_each_minute_goes_on_when_the_clock_is_set_back(
    store: JobStore, clock: MovedClock, caplog: pytest.LogCaptureFixture, *, is_restarted: bool
) -> None:
    crontabs = [Crontab(store, [CronEntry("* * * * *", "build")], clock)]
    await run_every_minute(clock, crontabs, 2)
    clock.move(HOUR)
    await run_every_minute(clock, crontabs, 1)
    clock.move(-HOUR)
    if is_restarted:
        crontabs = [Crontab(store, [CronEntry("* * * * *", "build")], clock)]
    await run_every_minute(clock, crontabs, 4)
    assert await enqueued(store) == ["24 12:01", "24 13:02", "24 12:04", "24 12:05", "24 12:06"]
    assert "goes on by the new time" in caplog.text


@pytest.mark.asyncio
async def test_a_reboot_is_enqueued_once_by_who_leads_when_all_begins(store: JobStore, clock: MovedClock) -> None:
    entry = CronEntry("@reboot", "build")
    first = Crontab(store, [entry], clock)
    await run_every_minute(clock, [first], 5)
    later = Crontab(store, [entry], clock)
    clock.move(HOUR)
    await later.run()
    assert await enqueued(store) == ["24 12:00"]
    await Crontab(store, [entry], clock).run()
    assert await enqueued(store) == ["24 12:00", "24 13:05"]


@pytest.mark.asyncio
async def test_an_entry_that_fails_keeps_no_other_from_its_turn(store: JobStore, clock: MovedClock) -> None:
    is_broken = True

    def made(entry: CronEntry) -> NewJob:
        if entry.name == "broken" and is_broken:
            raise StoreDown
        return plain_job(entry)

    crontab = Crontab(store, [CronEntry("@hourly", "build", name="broken"), hourly()], clock, made)
    await crontab.run()
    clock.move(HOUR)
    with pytest.raises(StoreDown):
        await crontab.run()
    assert await enqueued(store) == ["24 13:00"]
    is_broken = False
    await crontab.run()
    assert await enqueued(store) == ["24 13:00", "24 13:00"]


@pytest.mark.asyncio
async def test_an_entry_may_be_run_beside_its_times(store: JobStore, clock: MovedClock) -> None:
    crontab = Crontab(store, [hourly()], clock)
    inserted = await crontab.run_now("hourly")
    job = await store.get(inserted.id)
    assert job is not None
    assert (job.worker, job.meta["cron_name"]) == ("build", "hourly")
    with pytest.raises(BadCrontab, match="the entry 'daily' of the crontab is not there: write one of hourly"):
        await crontab.run_now("daily")


@pytest.mark.asyncio
async def test_the_status_says_when_each_entry_was_and_will_be(store: JobStore, clock: MovedClock) -> None:
    crontab = Crontab(store, [hourly(), CronEntry("@reboot", "build")], clock)
    await run_every_minute(clock, [crontab], 70)
    one, other = await crontab.status()
    assert one.last_at is not None
    assert one.next_at is not None
    assert (one.last_at.hour, one.next_at.hour, other.next_at) == (13, 14, None)


@pytest.mark.asyncio
async def test_an_entry_that_never_ran_has_no_last_time(store: JobStore, clock: MovedClock) -> None:
    crontab = Crontab(store, [hourly()], clock)
    assert [one.last_at for one in await crontab.status()] == [None]
    began = clock()
    await crontab.run()
    clock.move(60)
    for one in (crontab, Crontab(store, [hourly()], clock)):
        await one.run()
        assert [entry.last_at for entry in await one.status()] == [None]
    assert (await store.last_runs())["hourly"] == began
    await run_every_minute(clock, [crontab], 70)
    assert await enqueued(store) == ["24 13:00"]
    (now,) = await crontab.status()
    assert now.last_at is not None
    assert f"{now.last_at:%d %H:%M}" == "24 13:00"


def test_entries_that_make_no_sense_are_refused(clock: MovedClock) -> None:
    store = MemoryStore(now=clock)
    with pytest.raises(BadCrontab, match="'hourly' of the crontab is there twice: give one of them another name"):
        Crontab(store, [hourly(), hourly("last")], clock)
    with pytest.raises(BadCron, match="has the minute '99'"):
        Crontab(store, [CronEntry("99 * * * *", "build")], clock)
    with pytest.raises(BadCrontab, match="has the catch_up 'some': write none, last or all"):
        hourly("some")  # type: ignore[arg-type] # the door refuses what a checker would
    with pytest.raises(BadCrontab, match="has the catch_up_limit 0: write at least 1"):
        hourly("all", 0)


@settings(max_examples=60)
@given(
    steps=st.lists(st.tuples(st.integers(0, 2), st.integers(-90, 200), st.booleans()), min_size=1, max_size=30),
    catch_up=st.sampled_from(["none", "last", "all"]),
)
@pytest.mark.asyncio
async def test_no_time_is_ever_enqueued_twice_nor_before_it_comes(
    steps: list[tuple[int, int, bool]], catch_up: CatchUp
) -> None:
    clock = MovedClock()
    store = MemoryStore(now=clock)
    crontabs = [Crontab(store, [hourly(catch_up, 3)], clock) for _ in range(3)]
    latest = clock.time
    for which, minutes, is_new in steps:
        clock.move(60 * minutes)
        latest = max(latest, clock.time)
        clock.time = max(clock.time, latest - BEFORE_CORRECTION)
        if is_new:
            crontabs[which] = Crontab(store, [hourly(catch_up, 3)], clock)
        await crontabs[which].run()
    jobs = await store.find(JobFilter(), 10_000)
    times = [from_text(str(job.meta["cron_at"])) for job in jobs]
    assert len(set(times)) == len(times)
    assert all(time <= latest and time.minute == 0 for time in times)
