"""The tasks of jobs: one for those that never wait, one for each that does; and a context for every job."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field

import pytest

from headrace.jobs.job import AttemptCancelled, AttemptCompleted, AttemptFailed, AttemptReleased, Job, JobOutcome
from headrace.jobs.running import task_pool as room
from headrace.jobs.running.task_pool import PlainAttempts, QueueSlot, TaskPool
from headrace.otp.scheduler import Scheduler
from tests.fakes.job_stores import a_job
from tests.fakes.stepping import until

pytestmark = pytest.mark.asyncio

DONE = AttemptCompleted()
SEEN: ContextVar[int] = ContextVar("seen", default=0)


@dataclass
class Ends:
    """What jobs do, how they ended, in order, and which task each was in at its beginning."""

    work: Callable[[Job], Awaitable[None]]
    began: list[int] = field(default_factory=list)
    ended: dict[int, JobOutcome | None] = field(default_factory=dict)
    seconds: list[float | None] = field(default_factory=list)
    tasks: dict[int, asyncio.Task[object] | None] = field(default_factory=dict)

    def runners(self) -> TaskPool:
        return TaskPool(Scheduler(), "jobs", PlainAttempts(self.execute), self.tell)

    def run(self, count: int) -> list[QueueSlot]:
        """Have so many jobs run."""
        slots = [QueueSlot(a_job(number)) for number in range(1, count + 1)]
        self.runners().begin(slots)
        return slots

    async def execute(self, job: Job) -> JobOutcome:
        self.began.append(job.id)
        self.tasks[job.id] = asyncio.current_task()
        await self.work(job)
        return DONE

    def tell(self, slot: QueueSlot, outcome: JobOutcome | None, seconds: float | None) -> None:
        self.ended[slot.job.id] = outcome
        self.seconds.append(seconds)

    async def all_of(self, count: int) -> None:
        await until(lambda: len(self.ended) == count)


async def at_once(_: Job) -> None:
    """Never wait."""


async def test_jobs_that_never_wait_share_a_task_and_begin_in_order() -> None:
    ends = Ends(at_once)
    ends.run(100)
    await ends.all_of(100)
    assert ends.began == list(ends.ended) == list(range(1, 101))
    assert len(set(ends.tasks.values())) == 1
    assert set(ends.ended.values()) == {DONE}


async def test_a_job_that_waits_has_a_task_that_nobody_has_after_it() -> None:
    gate = asyncio.Event()

    async def waits(job: Job) -> None:
        await gate.wait()
        assert asyncio.current_task() is ends.tasks[job.id]

    ends = Ends(waits)
    ends.run(50)
    await until(lambda: len(ends.began) == 50)
    assert ends.began == list(range(1, 51))
    assert len(set(ends.tasks.values())) == 50
    gate.set()
    await ends.all_of(50)
    assert set(ends.ended.values()) == {DONE}


async def test_jobs_that_wait_begin_within_a_few_turns_of_the_loop() -> None:
    gate = asyncio.Event()

    async def waits(_: Job) -> None:
        await gate.wait()

    ends = Ends(waits)
    ends.run(100)
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(ends.began) == 100
    gate.set()
    await ends.all_of(100)


async def test_jobs_that_wait_hold_up_none_of_those_that_do_not() -> None:
    gate = asyncio.Event()

    async def some_wait(job: Job) -> None:
        if job.id % 3 == 0:
            await gate.wait()

    ends = Ends(some_wait)
    ends.run(30)
    await ends.all_of(20)
    gate.set()
    await ends.all_of(30)
    assert sorted(ends.began) == list(range(1, 31))


async def test_a_variable_that_a_job_sets_is_its_own_also_after_it_has_waited() -> None:
    found: list[tuple[int, int]] = []

    async def sets(job: Job) -> None:
        before = SEEN.get()
        SEEN.set(job.id)
        if job.id % 2:
            await asyncio.sleep(0)
        found.append((before, SEEN.get() - job.id))

    ends = Ends(sets)
    ends.run(10)
    await ends.all_of(10)
    assert set(found) == {(0, 0)}
    assert SEEN.get() == 0


async def test_timeouts_and_task_groups_work_in_a_job() -> None:
    overdue: list[int] = []

    async def child() -> None:
        await asyncio.sleep(0)

    async def both(job: Job) -> None:
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            group.create_task(child())
        try:
            async with asyncio.timeout(0):
                await asyncio.Event().wait()
        except TimeoutError:
            overdue.append(job.id)

    ends = Ends(both)
    ends.run(5)
    await ends.all_of(5)
    assert sorted(overdue) == [1, 2, 3, 4, 5]
    assert set(ends.ended.values()) == {DONE}


async def test_a_task_that_a_job_cancels_runs_no_other_job() -> None:
    async def cancels(job: Job) -> None:
        task = asyncio.current_task()
        assert task is not None
        assert not task.cancelling()
        if job.id == 2:
            task.cancel()  # it never comes, for nothing is awaited

    ends = Ends(cancels)
    ends.run(4)
    await ends.all_of(4)
    assert set(ends.ended.values()) == {DONE}
    assert ends.tasks[1] is ends.tasks[2]
    assert ends.tasks[3] is ends.tasks[4]
    assert ends.tasks[2] is not ends.tasks[3]


async def test_a_job_that_was_ended_before_it_began_never_begins() -> None:
    ends = Ends(at_once)
    slots = ends.run(3)
    slots[1].early_outcome = AttemptCancelled("no longer wanted")
    await ends.all_of(3)
    assert ends.began == [1, 3]
    assert ends.ended[2] is None
    assert ends.seconds[1] is None


async def test_a_job_that_waits_is_cancelled_alone() -> None:
    async def waits(_: Job) -> None:
        await asyncio.Event().wait()

    ends = Ends(waits)
    slots = ends.run(2)
    await until(lambda: len(ends.began) == 2)
    slots[0].early_outcome = AttemptCancelled("cancelled")
    for slot in slots:
        assert slot.task is not None
        slot.task.cancel()
        await ends.all_of(slot.job.id)
    assert ends.ended[1] is None
    assert isinstance(ends.ended[2], AttemptFailed)  # by other code, which named no reason


async def test_what_has_not_begun_is_put_back_when_its_task_is_cancelled() -> None:
    ends = Ends(at_once)
    before = asyncio.all_tasks()
    ends.run(3)
    for task in asyncio.all_tasks() - before:  # as the end of a loop does
        task.cancel()
    await ends.all_of(3)
    assert ends.began == []
    assert set(ends.ended.values()) == {AttemptReleased()}


async def test_the_loop_has_its_turn_between_jobs_that_take_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "SLICE_SECONDS", 0.0)
    ends = Ends(at_once)
    ends.run(3)
    turns = 0
    while len(ends.ended) < 3:
        await asyncio.sleep(0)
        turns += 1
    assert turns >= 3
    assert len(set(ends.tasks.values())) == 1


@pytest.mark.parametrize("waits", [False, True])
async def test_a_worker_is_named_once_that_holds_the_loop(
    waits: bool,  # noqa: FBT001 - a parameter
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(room, "SLOW_CALLBACK_SECONDS", -1.0)

    async def holds(_: Job) -> None:
        if waits:
            await asyncio.sleep(0)

    ends = Ends(holds)
    ends.run(3)
    await ends.all_of(3)
    assert caplog.text.count("held the event loop") == 1


async def test_a_worker_is_named_that_holds_the_loop_in_its_last_step(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def holds(_: Job) -> None:
        await asyncio.sleep(0)
        monkeypatch.setattr(room, "SLOW_CALLBACK_SECONDS", -1.0)  # from here on

    ends = Ends(holds)
    monkeypatch.setattr(room, "SLOW_CALLBACK_SECONDS", 1000.0)
    ends.run(1)
    await ends.all_of(1)
    assert caplog.text.count("held the event loop") == 1


@pytest.mark.parametrize("waits", [False, True])
async def test_what_nobody_expects_fails_the_job_alone(
    waits: bool,  # noqa: FBT001 - a parameter
) -> None:
    async def breaks(job: Job) -> None:
        if waits:
            await asyncio.sleep(0)
        if job.id == 2:
            raise SystemExit

    ends = Ends(breaks)
    ends.run(3)
    await ends.all_of(3)
    assert (ends.ended[1], ends.ended[3]) == (DONE, DONE)
    assert isinstance(ends.ended[2], AttemptFailed)
    assert isinstance(ends.ended[2].cause, SystemExit)


async def test_an_attempt_is_measured_from_its_beginning_to_its_end_however_it_ends() -> None:
    async def waits(job: Job) -> None:
        if job.id > 1:
            await asyncio.sleep(0)
        if job.id == 3:
            raise asyncio.CancelledError

    ends = Ends(waits)
    ends.run(3)
    await ends.all_of(3)
    assert all(seconds is not None and seconds > 0 for seconds in ends.seconds)


async def test_a_generatorexit_out_of_an_awaited_task_does_not_leave_the_job_running_for_ever() -> None:
    async def breaks(_: Job) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_exception, GeneratorExit())
        await future

    ends = Ends(breaks)
    ends.run(2)
    await ends.all_of(2)
    assert ends.ended == {1: None, 2: None}
