"""Failed attempts leave lines in the log, unless they are turned off, and reach `on_error`."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from headrace.jobs.errors import JobDiscarded, JobExpired
from headrace.jobs.job import Discard
from headrace.jobs.jobs import Jobs
from headrace.jobs.running.failures import JobFailure
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.jobs.settings import JobsSettings
from headrace.jobs.stores.memory_store import MemoryStore
from headrace.jobs.worker import AnyWorker, worker
from tests.fakes.job_clock import MovedClock
from tests.fakes.stepping import until

pytestmark = pytest.mark.asyncio


@worker(name="mail", max_attempts=2, backoff=17.0)
async def mail(address: str) -> object:
    if address == "":
        return Discard("no address")
    raise ValueError(address)


@worker(name="sync_mail", max_attempts=1)
def sync_mail(address: str) -> None:
    raise ValueError(address)


CLOCK = MovedClock()


@asynccontextmanager
async def running(settings: JobsSettings) -> AsyncIterator[Jobs]:
    settings = replace(settings, now=CLOCK)
    async with Jobs(MemoryStore(now=CLOCK), WorkerCatalogue([mail, sync_mail]), {"default": 1}, settings) as jobs:
        yield jobs


async def test_a_failed_attempt_is_a_warning_that_says_when_the_next_is(caplog: pytest.LogCaptureFixture) -> None:
    async with running(JobsSettings()) as jobs:
        await mail.enqueue("bob")
        await until(lambda: jobs.metrics.finished(["failed"]) == 1)
    (record,) = [one for one in caplog.records if one.levelno == logging.WARNING]
    text = "job 1 of worker 'mail' failed in attempt 1 of 2, and is tried again in 17 s: ValueError: bob"
    assert record.getMessage() == text


@pytest.mark.parametrize("kind", [sync_mail, mail.with_options(max_attempts=1)], ids=["def", "async def"])
async def test_a_discarded_job_is_an_error_with_the_traceback(
    caplog: pytest.LogCaptureFixture, kind: AnyWorker
) -> None:
    async with running(JobsSettings()):
        with pytest.raises(JobDiscarded):
            await (await kind.enqueue("bob")).result(5)
    (record,) = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert f"job 1 of worker '{kind.name}' is discarded after attempt 1 of 1: ValueError: bob" in record.getMessage()
    assert "raise ValueError(address)" in caplog.text


async def test_failures_leave_no_line_where_that_is_turned_off(caplog: pytest.LogCaptureFixture) -> None:
    async with running(JobsSettings(logs_failures=False)):
        with pytest.raises(JobDiscarded):
            await (await sync_mail.enqueue("bob")).result(5)
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []


async def test_on_error_gets_each_failed_attempt_with_what_was_raised(caplog: pytest.LogCaptureFixture) -> None:
    failures: list[JobFailure] = []

    def keep(failure: JobFailure) -> None:
        failures.append(failure)
        raise LookupError

    async with running(JobsSettings(on_error=keep, logs_failures=False)) as jobs:
        await mail.enqueue("bob")
        await until(lambda: jobs.metrics.finished(["failed"]) == 1)
        with pytest.raises(JobDiscarded):
            await (await mail.enqueue("")).result(5)
    tried, discarded = failures
    assert isinstance(tried.error, ValueError)
    assert (tried.job.id, tried.retry_seconds, tried.is_discarded) == (1, 17.0, False)
    assert (discarded.error, discarded.error_text, discarded.is_discarded) == (None, "no address", True)
    assert "on_error raised for job 1 of worker 'mail'" in caplog.text


async def test_a_job_that_expired_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    async with running(JobsSettings()) as jobs:
        await jobs.pause("default")
        handle = await mail.with_options(expires_in_seconds=5).enqueue("bob")
        CLOCK.move(6)
        await jobs.resume("default")
        with pytest.raises(JobExpired):
            await handle.result(5)
    (record,) = [one for one in caplog.records if one.levelno >= logging.WARNING]
    assert (record.levelname, "is discarded: the job expired at" in record.getMessage()) == ("WARNING", True)


async def test_an_on_error_that_raises_systemexit_does_not_end_the_service(caplog: pytest.LogCaptureFixture) -> None:
    def on_error(_: JobFailure) -> None:
        raise SystemExit(3)

    async with running(JobsSettings(on_error=on_error)):
        handle = await sync_mail.enqueue("bob")
        with pytest.raises(JobDiscarded):
            await handle.result(5)
    assert "on_error raised for job 1 of worker 'sync_mail'" in caplog.text
