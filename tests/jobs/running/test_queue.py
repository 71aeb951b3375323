"""The engine of a queue: slots, claims that grow with the load, acknowledgements in batches, stops."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import pytest

from headrace.errors import HeadraceError
from headrace.jobs.job import (
    AttemptCancelled,
    AttemptCompleted,
    AttemptFailed,
    AttemptReleased,
    Job,
    JobAck,
    JobOutcome,
)
from headrace.jobs.running import queue as engine
from headrace.jobs.running.queue import JobQueue, QueueContext
from headrace.jobs.running.task_pool import Execute, PlainAttempts
from headrace.jobs.stores.store import LeaseOwner
from headrace.otp.scheduler import Scheduler
from tests.fakes.job_stores import ListStore, a_job
from tests.fakes.stepping import until

pytestmark = pytest.mark.asyncio

DONE = AttemptCompleted()


class Works:
    """Runs jobs: each waits for its gate, unless `is_open`; notes what began, and how many ran at once."""

    def __init__(self, *, is_open: bool = True) -> None:
        self.is_open = is_open
        self.started: list[int] = []
        self.gates: dict[int, asyncio.Event] = {}
        self.running = 0
        self.most = 0

    async def __call__(self, job: Job) -> JobOutcome:
        self.started.append(job.id)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            if not self.is_open:
                await self.gate(job.id).wait()
        finally:
            self.running -= 1
        return DONE

    def gate(self, job_id: int) -> asyncio.Event:
        return self.gates.setdefault(job_id, asyncio.Event())


@asynccontextmanager
async def working(store: ListStore, execute: Execute, limit: int = 3) -> AsyncIterator[JobQueue]:
    queue = JobQueue(
        LeaseOwner("here", "uuid", "default"), limit, PlainAttempts(execute), QueueContext(store, Scheduler())
    )
    queue.start()
    try:
        yield queue
    finally:
        await queue.stop(0.0)


async def test_every_job_runs_once_and_is_told_once() -> None:
    store, works = ListStore(100), Works()
    async with working(store, works):
        await until(lambda: len(store.outcomes()) == 100)
    assert works.started == list(range(1, 101))
    assert [one.id for batch in store.acknowledged for one in batch] == works.started


async def test_a_claim_never_asks_for_more_than_is_free() -> None:
    store, works = ListStore(5), Works(is_open=False)
    async with working(store, works) as queue:
        await until(lambda: works.started == [1, 2, 3])
        assert store.claims == [3]
        works.gate(2).set()
        await until(lambda: works.started == [1, 2, 3, 4])
        assert store.claims == [3, 1]
        assert queue.statistics().running == 3
    assert works.most == 3


async def test_what_comes_free_while_a_claim_is_under_way_is_asked_for_in_the_next() -> None:
    store, works = ListStore(20), Works(is_open=False)
    async with working(store, works, limit=10):
        await until(lambda: len(works.started) == 10)
        store.gate.clear()
        works.gate(1).set()
        await until(lambda: store.claims == [10, 1])
        for number in range(2, 8):
            works.gate(number).set()
        await until(lambda: works.running == 3)
        store.gate.set()
        await until(lambda: len(works.started) == 17)
        assert store.claims == [10, 1, 6]  # claims grow with the load


async def test_no_slot_stays_empty_while_work_waits() -> None:
    store, works = ListStore(), Works(is_open=False)
    store.waiting.extend(a_job(number) for number in range(1, 7))
    async with working(store, works, limit=10) as queue:
        await until(lambda: len(works.started) == 6)  # six long ones
        works.is_open = True
        store.waiting.extend(a_job(number) for number in range(7, 207))
        queue.has_work()
        await until(lambda: len(store.outcomes()) == 200)
        assert works.started[:6] == [1, 2, 3, 4, 5, 6]
        assert queue.statistics().running == 6
        for gate in works.gates.values():
            gate.set()
        await until(lambda: len(store.outcomes()) == 206)


async def test_acknowledgements_go_in_batches_and_are_kept_until_the_store_has_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine, "RETRY_SECONDS", 0.0)
    store, works = ListStore(10), Works(is_open=False)
    async with working(store, works, limit=10) as queue:
        await until(lambda: len(works.started) == 10)
        store.failures.extend(["disk full", "disk full"])
        for number in range(1, 11):
            works.gate(number).set()
        await until(lambda: len(store.outcomes()) == 10)
        assert len(store.acknowledged) == 1
        await until(lambda: queue.statistics().unacknowledged == 0)


async def test_a_store_that_fails_is_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    store, works = ListStore(2), Works()
    store.failures.append("no such disk")
    async with working(store, works) as queue:
        await until(lambda: bool(caplog.records))
        assert "queue 'default' cannot claim jobs, and tries again: no such disk" in caplog.text
        assert "no such disk" in (queue.statistics().store_error or "")
        queue.has_work()
        await until(lambda: len(store.outcomes()) == 2)
        assert queue.statistics().store_error is None


async def test_a_paused_queue_claims_nothing_and_what_runs_goes_on() -> None:
    store, works = ListStore(5), Works(is_open=False)
    async with working(store, works, limit=2) as queue:
        await until(lambda: works.started == [1, 2])
        queue.pause()
        works.gate(1).set()
        await until(lambda: list(store.outcomes()) == [1])
        queue.has_work()
        for _ in range(5):
            await asyncio.sleep(0)
        assert works.started == [1, 2]
        queue.resume()
        await until(lambda: works.started == [1, 2, 3])


async def test_a_queue_is_scaled_while_it_runs() -> None:
    store, works = ListStore(9), Works(is_open=False)
    async with working(store, works, limit=1) as queue:
        await until(lambda: works.started == [1])
        queue.scale(4)
        await until(lambda: works.started == [1, 2, 3, 4])
        queue.scale(2)
        works.gate(1).set()
        works.gate(2).set()
        await until(lambda: len(store.outcomes()) == 2)
        assert (works.running, len(works.started)) == (2, 4)
        works.gate(3).set()
        await until(lambda: works.started == [1, 2, 3, 4, 5])


async def test_a_job_that_runs_is_cancelled_for_good() -> None:
    store, works = ListStore(2), Works(is_open=False)
    async with working(store, works) as queue:
        await until(lambda: works.started == [1, 2])
        assert queue.cancel(1, "no longer wanted")
        assert not queue.cancel(9, "never was")
        await until(lambda: 1 in store.outcomes())
        assert store.outcomes() == {1: AttemptCancelled("no longer wanted")}
        assert queue.statistics().running == 1


async def test_a_retried_job_is_put_back_when_the_stop_comes_before_its_former_end() -> None:
    let_go = asyncio.Event()

    async def lingers(job: Job) -> JobOutcome:
        started.append(job.id)
        while not let_go.is_set():
            with suppress(asyncio.CancelledError):
                await let_go.wait()
        raise asyncio.CancelledError

    started: list[int] = []
    store = ListStore(1)
    queue = JobQueue(LeaseOwner("here", "uuid", "default"), 3, PlainAttempts(lingers), QueueContext(store, Scheduler()))
    queue.start()
    await until(lambda: started == [1])
    assert queue.cancel(1, "no longer wanted")
    store.waiting.append(a_job(1))
    queue.has_work()
    await until(lambda: not store.waiting)
    async with asyncio.TaskGroup() as together:
        together.create_task(queue.stop(0.0))
        await until(lambda: [one.outcome for batch in store.acknowledged for one in batch] == [AttemptReleased()])
        let_go.set()
    assert started == [1]
    assert [one.outcome for batch in store.acknowledged for one in batch] == [
        AttemptReleased(),
        AttemptCancelled("no longer wanted"),
    ]


async def test_a_job_that_somebody_else_cancels_has_failed_and_loses_no_slot() -> None:
    async def cancels_itself(job: Job) -> JobOutcome:
        raise asyncio.CancelledError

    store = ListStore(1)
    async with working(store, cancels_itself) as queue:
        await until(lambda: 1 in store.outcomes())
        assert isinstance(store.outcomes()[1], AttemptFailed)
        assert queue.statistics().running == 0


async def test_our_own_bug_fails_the_attempt_and_loses_no_slot(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(job: Job) -> JobOutcome:
        raise KeyError(job.id)

    store = ListStore(5)
    async with working(store, broken, limit=2):
        await until(lambda: len(store.outcomes()) == 5)
    assert all(isinstance(outcome, AttemptFailed) for outcome in store.outcomes().values())
    assert "job 1 of worker 'work' failed in attempt 1 of 20, and is tried again in 1 s: KeyError: 1" in caplog.text


async def test_a_stop_puts_back_what_is_not_done_in_time() -> None:
    store, works = ListStore(4), Works(is_open=False)
    async with working(store, works, limit=3) as queue:
        await until(lambda: works.started == [1, 2, 3])
        stopping = asyncio.ensure_future(queue.stop(60.0))
        works.gate(2).set()
        await until(lambda: 2 in store.outcomes())
        assert not stopping.done()
        for number in (1, 3):
            works.gate(number).set()
        await stopping
        assert set(store.outcomes().values()) == {DONE}
    again, late = ListStore(2), Works(is_open=False)
    async with working(again, late):
        await until(lambda: late.started == [1, 2])
    assert set(again.outcomes().values()) == {AttemptReleased()}
    assert [job.id for job in again.waiting] == [1, 2]


async def test_what_a_last_claim_brings_while_the_queue_stops_is_put_back() -> None:
    store, works = ListStore(2), Works()
    store.gate.clear()
    async with working(store, works) as queue:
        await until(lambda: store.claims == [3])
        stopping = asyncio.ensure_future(queue.stop(1.0))
        await asyncio.sleep(0)
        store.gate.set()
        await stopping
        assert works.started == []
        assert set(store.outcomes().values()) == {AttemptReleased()}


async def test_a_stop_ends_and_names_the_jobs_when_the_store_fails_for_good(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Gone(ListStore):
        async def acknowledge(self, owner: LeaseOwner, acknowledgements: Sequence[JobAck]) -> None:
            raise HeadraceError

    monkeypatch.setattr(engine, "ACKNOWLEDGE_SECONDS", 0.01)
    queue = JobQueue(
        LeaseOwner("here", "uuid", "default"), 3, PlainAttempts(Works()), QueueContext(Gone(2), Scheduler())
    )
    queue.start()
    await until(lambda: queue.statistics().unacknowledged == 2)
    await queue.stop(0.0)
    assert "could not write how jobs ended; they run again when their lease is out: 1, 2" in caplog.text


async def test_what_a_last_claim_brings_after_all_else_was_told_is_put_back() -> None:
    late, asked = asyncio.Event(), asyncio.Event()

    class Slow(ListStore):
        async def claim(self, owner: LeaseOwner, count: int) -> list[Job]:
            if self.claims:
                asked.set()
                await late.wait()
            return await super().claim(owner, count)

    store, works = Slow(1), Works(is_open=False)
    async with working(store, works) as queue:
        await until(lambda: works.started == [1])
        store.waiting.append(a_job(2))
        queue.has_work()
        await asked.wait()
        stopping = asyncio.ensure_future(queue.stop(1.0))
        await asyncio.sleep(0)
        works.gate(1).set()
        await until(lambda: 1 in store.outcomes())
        for _ in range(10):
            await asyncio.sleep(0)
        late.set()
        await stopping
        assert store.outcomes() == {1: DONE, 2: AttemptReleased()}


async def test_a_stop_names_the_jobs_of_a_write_that_hangs(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    gate = asyncio.Event()

    class Hangs(ListStore):
        async def acknowledge(self, owner: LeaseOwner, acknowledgements: Sequence[JobAck]) -> None:
            while not gate.is_set():
                with suppress(asyncio.CancelledError):
                    await gate.wait()

    monkeypatch.setattr(engine, "ACKNOWLEDGE_SECONDS", 0.01)
    queue = JobQueue(
        LeaseOwner("here", "uuid", "default"), 3, PlainAttempts(Works()), QueueContext(Hangs(2), Scheduler())
    )
    queue.start()
    await until(lambda: queue.statistics().unacknowledged == 2)
    await queue.stop(0.0)
    assert "they run again when their lease is out: 1, 2" in caplog.text
    gate.set()
    await until(lambda: queue.statistics().unacknowledged == 0)


async def test_a_stop_waits_for_no_claim_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "ACKNOWLEDGE_SECONDS", 0.01)
    store = ListStore(2)
    store.gate.clear()
    async with working(store, Works()):
        await until(lambda: store.claims == [3])
    assert len(store.waiting) == 2


async def test_a_job_that_was_cancelled_elsewhere_is_ended_here() -> None:
    store, works = ListStore(2), Works(is_open=False)
    async with working(store, works) as queue:
        await until(lambda: works.started == [1, 2])
        await queue.check_running()
        assert queue.statistics().running == 2
        store.cancelled.add(2)
        await queue.check_running()
        await until(lambda: 2 in store.outcomes())
        assert isinstance(store.outcomes()[2], AttemptCancelled)
        assert queue.statistics().running == 1


async def test_jobs_that_end_put_off_no_look_for_what_another_process_inserted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "POLL_SECONDS", 0.005)
    store, works = ListStore(1000), Works(is_open=False)
    async with working(store, works, limit=2000):
        await until(lambda: len(works.started) == 1000)
        store.waiting.append(a_job(1001))
        for job_id in range(1, 1001):
            works.gate(job_id).set()
            await until(lambda left=1000 - job_id: works.running <= left or not store.waiting)  # type: ignore[misc]
            if not store.waiting:
                break
        assert not store.waiting
        works.is_open = True
        for gate in works.gates.values():
            gate.set()
        await until(lambda: len(store.outcomes()) == 1001)


@pytest.mark.parametrize("error", [SystemExit, GeneratorExit, BaseException])
async def test_a_worker_that_would_end_the_program_fails_its_attempt_alone(error: type[BaseException]) -> None:
    async def ends(job: Job) -> JobOutcome:
        raise error

    store = ListStore(2)
    async with working(store, ends, limit=1):
        await until(lambda: len(store.outcomes()) == 2)
    assert all(isinstance(outcome, AttemptFailed) for outcome in store.outcomes().values())
