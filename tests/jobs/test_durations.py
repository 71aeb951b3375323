"""A timedelta stands wherever the Python face of jobs takes seconds."""

from datetime import timedelta
from pathlib import Path

import pytest

from headrace.jobs.errors import BadAnswer, BadTime, BadWorker, ResultTimeout
from headrace.jobs.flows.chunk import chunk_worker
from headrace.jobs.job import Snooze
from headrace.jobs.jobs import Jobs
from headrace.jobs.results import JobRegistry
from headrace.jobs.rules.retry import retry_seconds
from headrace.jobs.worker import worker
from tests.fakes import job_workers as workers
from tests.fakes.job_records import a_job

MINUTE = timedelta(minutes=1)


@pytest.mark.asyncio
async def test_the_timeout_of_a_result_may_be_a_timedelta(tmp_path: Path) -> None:
    async with Jobs(f"sqlite:///{tmp_path / 'jobs.db'}", workers.double):
        handle = await workers.double.enqueue(1)
        with pytest.raises(ResultTimeout, match=r"0\.01"):
            await handle.result(timedelta(milliseconds=10))
        with pytest.raises(BadTime):
            await handle.result(timedelta(seconds=-1))


def test_a_snooze_may_be_a_timedelta() -> None:
    assert Snooze(MINUTE) == Snooze(60)
    assert Snooze(MINUTE).seconds == 60
    with pytest.raises(BadAnswer, match="no time to wait for"):
        Snooze(timedelta(days=-1))


def test_the_options_of_a_worker_may_be_timedeltas() -> None:
    @worker(timeout_seconds=MINUTE, backoff=MINUTE, keep_seconds=MINUTE, expires_in_seconds=MINUTE)
    async def build() -> None: ...

    options = build.options
    assert [options.timeout_seconds, options.backoff, options.keep_seconds, options.expires_in_seconds] == [60] * 4
    assert build.with_options(expires_in_seconds=2 * MINUTE).options.expires_in_seconds == 120
    with pytest.raises(BadWorker, match="must be seconds above 0"):
        build.with_options(keep_seconds=-MINUTE)


def test_a_backoff_function_may_return_a_timedelta() -> None:
    job = a_job(attempt=1)
    assert retry_seconds(lambda attempt, error, job: MINUTE, job, ValueError(), lambda: 0.0) == 60


def test_a_registry_and_a_chunk_worker_take_timedeltas() -> None:
    assert JobRegistry(workers.double, expires_in_seconds=MINUTE).expires_in_seconds == 60

    @chunk_worker(size=2, seconds=MINUTE)
    async def square(numbers: list[int]) -> list[int]:
        return [number**2 for number in numbers]

    assert square.name.endswith("square")
