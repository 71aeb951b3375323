"""What is no time, or no span of it, is refused where it is said; and a wait that was too short says what for."""

import math
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest
import pytest_asyncio

from headrace.jobs.errors import BadTime, BadWorker, JobsError, ResultTimeout
from headrace.jobs.job import Job
from headrace.jobs.results import JobRegistry, ResultWaiter
from headrace.jobs.stores.memory_store import MemoryStore
from headrace.jobs.worker import AnyWorker, worker
from headrace.telemetry.events import Telemetry
from tests.fakes.job_clock import NOON
from tests.fakes.job_desk import Desk

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "jobs.db")


@pytest.mark.parametrize("seconds", ["soon", math.nan, math.inf, 1e18, True, None, timedelta(days=40_000)])
async def test_a_delay_that_is_no_number_of_seconds_is_refused(desk: Desk, seconds: float) -> None:
    async with desk.service() as jobs:
        with pytest.raises(
            BadTime, match=r"^the delay of a job of worker 'wait' is .*, and must be a number of seconds"
        ):
            await desk.wait.schedule_in(seconds, 1)
        assert await jobs.get(1) is None


@pytest.mark.parametrize("seconds", [0, -1, -1e18, -math.inf])
async def test_a_delay_of_less_than_nothing_is_at_once(desk: Desk, seconds: float) -> None:
    desk.gate.set()
    async with desk.service():
        handle = await desk.wait.schedule_in(seconds, 1)
        assert await handle.result(5) == 1
        assert (await handle.job()).scheduled_at == NOON


LAST = datetime.max.replace(tzinfo=timezone(timedelta(hours=-5)))


@pytest.mark.parametrize(
    ("time", "why"),
    [
        ("tomorrow", "is 'tomorrow', and must be a datetime"),
        (date(2027, 1, 1), "and must be a datetime"),
        (5, "is 5, and must be a datetime"),
        (datetime(2027, 1, 1), "is 2027-01-01 00:00:00, which has no time zone: add one"),  # noqa: DTZ001 - it is wrong
        (LAST, "which is beyond what UTC has"),
    ],
)
async def test_a_time_that_is_none_is_refused(desk: Desk, time: datetime, why: str) -> None:
    async with desk.service() as jobs:
        with pytest.raises(BadTime, match=why):
            await desk.wait.schedule_at(time, 1)
        assert await jobs.get(1) is None


@pytest.mark.parametrize("seconds", ["soon", math.nan, math.inf, 1e18, True, 0, -1])
async def test_an_expiry_that_is_no_span_of_time_is_refused(desk: Desk, seconds: float) -> None:
    with pytest.raises(BadWorker, match="expires_in_seconds is"):
        worker(expires_in_seconds=seconds)(desk.function)
    with pytest.raises(BadWorker, match="the expires_in_seconds of its registry is"):
        JobRegistry(desk.wait, expires_in_seconds=seconds)


async def test_a_job_of_the_last_day_there_is_may_expire(desk: Desk) -> None:
    expiring: AnyWorker = worker(name="wait", expires_in_seconds=86400 * 365)(desk.function)
    async with desk.service([expiring]):
        handle = await expiring.schedule_at(datetime(9999, 12, 31, tzinfo=UTC), 1)
        assert (await handle.job()).state == "scheduled"


async def test_a_result_that_is_late_says_of_which_job_and_how_it_stands(desk: Desk) -> None:
    async with desk.service() as jobs:
        handle = await desk.wait.schedule_in(3600, 1)
        with pytest.raises(ResultTimeout) as caught:
            await handle.result(0.01)
        late = caught.value
        assert isinstance(late, TimeoutError)
        assert isinstance(late, JobsError)
        assert (late.job_id, late.worker, late.state) == (handle.id, "wait", "scheduled")
        assert str(late).startswith("job 1 of worker 'wait' is still scheduled after 0.01 s: give its result more time")
        with pytest.raises(TimeoutError, match="job 1 of worker 'wait' is still scheduled"):
            await jobs.result(handle.id, 0.01)


async def test_a_result_that_is_asked_for_without_a_wait_says_what_it_is_about(desk: Desk) -> None:
    async with desk.service():
        handle = await desk.wait.enqueue(1)
        with pytest.raises(ResultTimeout, match=r"^job 1 .* after 0 s: "):
            await handle.result(0)


async def test_a_timeout_of_somebody_else_is_not_taken_for_that_of_the_wait() -> None:
    class Slow(MemoryStore):
        async def get(self, job_id: int) -> Job | None:
            raise TimeoutError(job_id, "on a slow disk")

    with pytest.raises(TimeoutError, match="on a slow disk") as caught:
        await ResultWaiter(Slow(), Telemetry()).result(1, 5)
    assert not isinstance(caught.value, ResultTimeout)


@pytest.mark.parametrize("seconds", ["soon", math.nan, math.inf, 1e18, True, -1])
async def test_a_timeout_that_nobody_can_wait_is_refused(desk: Desk, seconds: float) -> None:
    async with desk.service():
        handle = await desk.wait.enqueue(1)
        with pytest.raises(BadTime, match=r"^the timeout of a result is .*, and must be seconds from 0"):
            await handle.result(seconds)
