"""Workers that do what they should not: each job has its end, and the queue goes on."""

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest
import pytest_asyncio

from headrace.jobs.errors import JobCancelled, JobDiscarded
from headrace.jobs.job import Job
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.running import attempt as executor
from headrace.jobs.worker import worker
from tests.fakes.elixir_rows import raw
from tests.fakes.job_desk import Desk
from tests.fakes.stepping import until

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path / "jobs.db")
    desk.gate.set()
    return desk


async def test_a_worker_that_swallows_its_cancellation_is_cancelled_and_frees_its_slot(desk: Desk) -> None:
    @worker(name="stubborn", record=True)
    async def stubborn() -> str:
        desk.calls.append("began")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            desk.calls.append("swallowed")
        return "done all the same"

    async with desk.service([stubborn, desk.wait]) as jobs:
        handle = await stubborn.enqueue()
        await until(lambda: desk.calls == ["began"])
        assert await jobs.cancel(JobFilter(ids=frozenset({handle.id}))) == [handle.id]
        with pytest.raises(JobCancelled):
            await handle.result(5)
        await until(lambda: jobs.statistics()["default"].running == 0)
        assert await (await desk.wait.enqueue(1)).result(5) == 1


async def test_what_a_worker_returns_that_swallowed_the_stop_is_kept(desk: Desk) -> None:
    @worker(name="stubborn", record=True)
    async def stubborn() -> str:
        desk.calls.append("began")
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return "done all the same"

    async with desk.service([stubborn]):
        await stubborn.enqueue()
        await until(lambda: desk.calls == ["began"])
    assert raw(desk.path, "select state, attempt from oban_jobs") == [("completed", 1)]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
async def test_a_thread_that_would_end_the_program_fails_its_attempt_alone(
    desk: Desk, error: type[BaseException]
) -> None:
    @worker(name="rude", max_attempts=1)
    def rude() -> None:
        raise error

    @worker(name="polite", record=True)
    def polite() -> int:
        return 3

    async with desk.service([rude, polite]):
        with pytest.raises(JobDiscarded, match=f"raised {error.__name__}"):
            await (await rude.enqueue()).result(5)
        assert await (await polite.enqueue()).result(5) == 3


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_on_exhausted_enqueues_what_is_to_come_after(desk: Desk, kind: str) -> None:
    async def follow(job: Job, error: str) -> None:
        await desk.wait.enqueue(job.id)

    def follow_sync(job: Job, error: str) -> None:
        desk.wait.enqueue_sync(job.id)

    @worker(name="fail", max_attempts=1, on_exhausted=follow if kind == "async" else follow_sync)
    async def fail() -> None:
        raise ValueError

    async with desk.service([fail, desk.wait]):
        handle = await fail.enqueue()
        with pytest.raises(JobDiscarded):
            await handle.result(5)
        await until(lambda: desk.calls == [handle.id])


async def test_a_timeout_that_a_worker_swallows_is_named_in_the_log(
    desk: Desk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    @worker(name="swallow", record=True, timeout_seconds=0.001)
    async def swallow() -> str:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await desk.gate.wait()
        return "late"

    monkeypatch.setattr(executor, "OVERDUE_SECONDS", 0.001)
    desk.gate.clear()
    async with desk.service([swallow]):
        handle = await swallow.enqueue()
        await until(lambda: "job 1 of worker 'swallow' still runs 0.001 s after its timeout_seconds" in caplog.text)
        assert "it goes on after the CancelledError that was raised in it" in caplog.text
        desk.gate.set()
        assert await handle.result(5) == "late"
