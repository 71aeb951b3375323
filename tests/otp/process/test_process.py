"""Processes: from their start to their end, and what is told of a crash."""

import asyncio
import logging
from functools import partial

import pytest

from headrace.clock import Clock
from headrace.errors import StartFailed
from headrace.otp.process.process import ExitReason, Process
from headrace.otp.ref import Ref
from headrace.otp.scheduler import Scheduler
from tests.fakes.processes import (
    ANYTHING,
    INTERRUPTS,
    Gate,
    Listener,
    ManualClock,
    Oops,
    Script,
    hops,
    raising,
    said,
)
from tests.fakes.stepping import until

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("vanished")]


class Life:
    """Notes what becomes of it, and fails where it is told to."""

    def __init__(self, *, fails_in: str = "", error: BaseException | None = None) -> None:
        self.noted: list[object] = []
        self.fails_in = fails_in
        self.error = Oops("life") if error is None else error

    def note(self, what: str, more: object = None) -> None:
        self.noted.append(what if more is None else (what, more))
        if self.fails_in == what:
            raise self.error

    def init(self) -> None:
        self.note("init")

    def terminate(self, reason: ExitReason) -> None:
        self.noted.append(reason)
        self.note("terminate")


class AsyncLife(Life):
    """Does the same in its own time."""

    async def init(self) -> None:  # type: ignore[override]
        self.note("begin")
        await asyncio.sleep(0)
        self.note("init")

    async def terminate(self, reason: ExitReason) -> None:  # type: ignore[override]
        await asyncio.sleep(0)
        self.noted.append(reason)
        self.note("terminate")


class Hooked(Process[Life]):
    """A process whose hooks note in the callback object's notes, and fail where they are told to."""

    def __init__(self, life: Life, scheduler: Scheduler) -> None:
        super().__init__("hooked", lambda: life, scheduler)
        self.life = life

    def requeue_in_flight(self, reason: ExitReason) -> None:
        self.life.note("abandon")

    def release(self) -> object:
        self.life.note("release")
        return None

    def finalize_pending(self, reason: ExitReason) -> None:
        self.life.note("bury")


LIVES = pytest.mark.parametrize("kind", [Life, AsyncLife])


def _process(life: object, scheduler: Scheduler | None = None) -> Process[object]:
    return Process("process", lambda: life, scheduler or Scheduler())


@LIVES
async def test_init_runs_before_all_else_and_terminate_at_the_end_with_the_reason(kind: type[Life]) -> None:
    life = kind()
    process = _process(life)
    process.start()
    await process.started
    process.stop()
    assert await process.terminated == "shutdown"
    assert [one for one in life.noted if one != "begin"] == ["init", "shutdown", "terminate"]


async def test_what_was_in_hand_comes_first_in_an_end_and_what_waits_last() -> None:
    life = Life()
    process = Hooked(life, Scheduler())
    process.start()
    await process.started
    process.stop()
    await process.terminated
    assert life.noted == ["init", "abandon", "release", "shutdown", "terminate", "bury"]


@LIVES
@pytest.mark.parametrize("error", ANYTHING, ids=lambda error: type(error).__name__)
async def test_an_init_that_raises_ends_the_process_and_terminate_runs(kind: type[Life], error: BaseException) -> None:
    scheduler = Scheduler()
    interrupts: list[BaseException] = []
    scheduler.on_interrupt(interrupts.append)
    life = kind(fails_in="init", error=error)
    process = _process(life, scheduler)
    process.start()
    with pytest.raises(StartFailed, match="'process' could not start") as caught:
        await process.started
    assert caught.value.reason is caught.value.__cause__ is error
    assert await process.terminated is error
    assert life.noted[-2:] == [error, "terminate"]
    assert interrupts == ([error] if isinstance(error, INTERRUPTS) else [])


async def test_a_factory_that_raises_ends_the_process() -> None:
    def make() -> object:
        raise FileNotFoundError(2, "No such file or directory", "orders.db")

    process = Process("orders", make, Scheduler())
    process.start()
    with pytest.raises(StartFailed) as caught:
        await process.started
    assert str(caught.value) == "'orders' could not start: [Errno 2] No such file or directory: 'orders.db'"


async def test_a_start_that_failed_is_told_to_whoever_started_it_and_not_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    scheduler = Scheduler()
    listener = Listener(scheduler)
    error = Oops("x")
    process = _process(Life(fails_in="init", error=error), scheduler)
    process.start()
    await process.terminated
    assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []
    assert listener.crashes == [("process", error)]


@pytest.mark.parametrize("error", ANYTHING, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("where", ["abandon", "release", "terminate", "bury"])
async def test_an_end_goes_on_whatever_a_step_of_it_raises(
    where: str, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    scheduler = Scheduler()
    interrupts: list[BaseException] = []
    scheduler.on_interrupt(interrupts.append)
    life = Life(fails_in=where, error=error)
    process = Hooked(life, scheduler)
    process.start()
    await process.started
    process.stop()
    assert await process.terminated == "shutdown"
    assert life.noted == ["init", "abandon", "release", "shutdown", "terminate", "bury"]
    assert said(caplog) == ["process 'hooked' raised while it ended"]
    assert interrupts == ([error] if isinstance(error, INTERRUPTS) else [])


async def test_an_end_goes_on_when_an_async_step_of_it_raises(caplog: pytest.LogCaptureFixture) -> None:
    process = _process(AsyncLife(fails_in="terminate"))
    process.start()
    await process.started
    process.stop()
    assert await process.terminated == "shutdown"
    assert said(caplog) == ["process 'process' raised while it ended"]


async def test_a_listener_that_raises_anything_does_not_keep_a_process_from_its_end() -> None:
    scheduler = Scheduler()

    def listen(*_: object) -> None:
        raise asyncio.CancelledError

    scheduler.telemetry.attach("broken", (), listen)
    error = Oops("x")
    process = Script("script", scheduler, partial(raising, error))
    process.start()
    assert await process.terminated is error


async def test_an_end_that_was_told_its_reason_keeps_it() -> None:
    process = Script("script", Scheduler(), lambda: process.exit("normal"), lambda: process.exit(Oops("later")))
    process.start()
    assert await process.terminated == "normal"


async def test_a_callback_that_holds_the_loop_is_named_once_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    scheduler = Scheduler(clock=Clock(monotonic=clock))

    async def hold() -> None:
        await asyncio.sleep(0)
        clock.advance(0.25)

    processes = [
        Script("sync", scheduler, *[partial(clock.advance, 0.25)] * 3),
        Script("async", scheduler, hold, hold, hold),
        Script("quick", scheduler, *[partial(clock.advance, 0.05)] * 3),
    ]
    for process in processes:
        process.start()
    for process in processes:
        await process.terminated
    assert sorted(said(caplog, logging.WARNING)) == [
        f"{name!r} held the event loop for 250 ms: make its callback async, or give it less to do at a time"
        for name in ("async", "sync")
    ]


async def test_while_a_callback_awaits_the_process_takes_nothing_further() -> None:
    process = Process("gate", Gate, Scheduler())
    process.start()
    ref = Ref(process)
    await ref.cast(Gate.wait)
    noting = asyncio.create_task(ref.call(Gate.note, 1))
    await until(lambda: process.is_busy)
    gate = process.callbacks
    assert gate is not None
    await hops()
    assert gate.seen == []
    gate.gate.set_result(None)
    await noting
    assert gate.seen == [1]
    await ref.stop()


async def test_one_task_runs_all_async_callbacks_of_a_process() -> None:
    tasks: list[object] = []

    async def note() -> None:
        await asyncio.sleep(0)
        tasks.append(asyncio.current_task())

    class Noting(Script):
        def release(self) -> object:
            return note()

    process = Noting("noting", Scheduler(), note, note)
    process.start()
    await process.terminated
    assert len(tasks) == 3
    assert len(set(tasks)) == 1


async def test_no_task_outlives_its_process() -> None:
    process = Script("script", Scheduler(), partial(asyncio.sleep, 0))
    process.start()
    await process.terminated
    assert [task.get_name() for task in asyncio.all_tasks() if task.get_name() == "script"] == []


async def test_a_process_that_was_never_started_ends_when_it_is_stopped() -> None:
    life = Life()
    process = _process(life)
    process.stop()
    assert await process.terminated == "shutdown"
    with pytest.raises(StartFailed, match="'process' could not start: it was stopped"):
        await process.started
    assert life.noted == []


async def test_mail_before_the_start_waits_for_it() -> None:
    process = Process("gate", Gate, Scheduler())
    noted = asyncio.create_task(Ref(process).call(Gate.noted))
    await hops()
    assert not noted.done()
    process.start()
    assert await noted == []
    process.stop()
    await process.terminated
