"""Code without an event loop enqueues in every way; on a loop that is named, for it holds it up."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from headrace.jobs.jobs import Jobs
from headrace.jobs.rules.job_filter import JobFilter
from tests.fakes import job_workers as workers

pytestmark = pytest.mark.asyncio

TOMORROW = datetime.now(UTC) + timedelta(days=1)


async def test_every_way_to_enqueue_is_there_without_an_event_loop(tmp_path: Path) -> None:
    def enqueue() -> list[int]:
        handles = [
            workers.double.enqueue_sync(1),
            workers.double.schedule_in_sync(60, 2),
            workers.double.schedule_in_sync(timedelta(days=1), 3),
            workers.double.schedule_at_sync(TOMORROW, 4),
            *workers.double.enqueue_many_sync([(5,), {"number": 6}]),
        ]
        return [handle.id for handle in handles]

    async with Jobs(f"sqlite:///{tmp_path / 'jobs.db'}", workers.double) as jobs:
        ids = await asyncio.to_thread(enqueue)
        found = await jobs.store.find(JobFilter(ids=frozenset(ids)), 10, is_newest_first=False)
        assert [job.args["number"] for job in found] == [1, 2, 3, 4, 5, 6]
        assert [job.state for job in found] == ["available", *["scheduled"] * 3, *["available"] * 2]
        assert found[3].scheduled_at == TOMORROW
        assert timedelta(hours=23) < found[2].scheduled_at - datetime.now(UTC) <= timedelta(days=1)


async def test_a_delay_may_be_a_timedelta(tmp_path: Path) -> None:
    async with Jobs("memory:", workers.double):
        job = await (await workers.double.schedule_in(timedelta(minutes=2), 1)).job()
        assert timedelta(minutes=1) < job.scheduled_at - datetime.now(UTC) <= timedelta(minutes=2)


async def test_a_worker_whose_enqueue_holds_up_the_loop_is_named_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with Jobs(f"sqlite:///{tmp_path / 'jobs.db'}", workers.double):
        await asyncio.to_thread(workers.double.enqueue_sync, 1)
        assert caplog.records == []
        for number in range(3):
            workers.double.enqueue_sync(number)
    (record,) = caplog.records
    assert "holds up the event loop until the disk has the job: await its enqueue there" in record.message


@pytest.mark.parametrize(
    ("name", "ours"),
    [("delay", "enqueue("), ("apply_async", "with_options("), ("perform_in", "schedule_in("), ("send", "enqueue(")],
)
async def test_a_word_of_another_library_is_answered_with_ours(name: str, ours: str) -> None:
    with pytest.raises(AttributeError, match=r"has no '\w+'; did you mean `await worker") as caught:
        getattr(workers.double, name)
    assert ours in str(caught.value)
    assert not hasattr(workers.double, "nonsense")
