"""Crashes of processes: what ends them, what is told of it, and what goes on."""

import asyncio
from collections.abc import Callable
from functools import partial

import pytest

from headrace.errors import HeadraceError, ProcessDown
from headrace.otp.process.process import Process
from headrace.otp.ref import Ref
from headrace.otp.scheduler import IDLE, Scheduler
from tests.fakes.processes import (
    Gate,
    Listener,
    Oops,
    Script,
    raising,
    said,
    start_gate,
    supervising,
)
from tests.fakes.stepping import until

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("vanished")]


@pytest.mark.parametrize("step", [Gate.fail, Gate.fail_later])
async def test_a_crash_is_said_once_in_the_log_and_once_by_telemetry(
    step: Callable[[Gate, BaseException], object], caplog: pytest.LogCaptureFixture
) -> None:
    scheduler = Scheduler()
    listener = Listener(scheduler)
    process = Process("gate", Gate, scheduler)
    process.start()
    error = Oops("x")
    with pytest.raises(ProcessDown):
        await Ref(process).call(step, error)
    assert await process.terminated is error
    [record] = caplog.records
    assert record.getMessage() == "process 'gate' crashed"
    assert record.exc_info is not None
    assert record.exc_info[1] is error
    assert listener.crashes == [("gate", error)]


async def test_a_crash_that_says_all_in_a_sentence_is_logged_as_one(caplog: pytest.LogCaptureFixture) -> None:
    error = HeadraceError("the door is shut: open it")
    process = Script("gate", Scheduler(), partial(raising, error))
    process.start()
    await process.terminated
    [record] = caplog.records
    assert record.getMessage() == "process 'gate' ended: the door is shut: open it"
    assert record.exc_info is None


async def test_a_future_that_somebody_else_cancelled_is_a_crash_and_the_supervisor_restarts() -> None:
    async with supervising() as supervisor:
        listener = Listener(supervisor.scheduler)
        ref, gate = await start_gate(supervisor)
        waiting = asyncio.create_task(ref.call(Gate.wait))
        await gate.has_entered.wait()
        gate.gate.cancel()
        with pytest.raises(ProcessDown) as caught:
            await waiting
        assert isinstance(caught.value.reason, asyncio.CancelledError)
        assert await ref.call(Gate.noted) == []
        assert ref._process.restarts == 1
        assert listener.crashes == [("gate", caught.value.reason)]


def _cancel_tasks(name: str) -> None:
    for task in asyncio.all_tasks():
        if task.get_name() == name:
            task.cancel()


async def test_a_task_cancelled_from_outside_is_a_crash_and_the_supervisor_restarts() -> None:
    async with supervising() as supervisor:
        ref, gate = await start_gate(supervisor)
        waiting = asyncio.create_task(ref.call(Gate.wait))
        await gate.has_entered.wait()
        _cancel_tasks("gate")
        with pytest.raises(ProcessDown) as caught:
            await waiting
        assert isinstance(caught.value.reason, asyncio.CancelledError)
        assert gate.reasons == [caught.value.reason]
        assert await ref.call(Gate.noted) == []
        assert ref._process.restarts == 1


class Hasty(Gate):
    """Has its task cancelled before the first step."""

    def begin(self) -> object:
        asyncio.get_running_loop().call_soon(_cancel_tasks, "hasty")
        return self.wait()


async def test_a_task_cancelled_before_its_first_step_is_a_crash_and_the_supervisor_restarts() -> None:
    async with supervising() as supervisor:
        ref = await supervisor.start_child(Hasty, name="hasty")
        with pytest.raises(ProcessDown) as caught:
            await ref.call(Hasty.begin)
        assert isinstance(caught.value.reason, asyncio.CancelledError)
        assert await ref.call(Gate.noted) == []
        assert ref._process.restarts == 1


class Raising(Process[Gate]):
    """A process whose turns raise while a callback of it runs."""

    error: BaseException | None = None

    def handle_control(self) -> int:
        if self.error is not None and self.is_busy:
            error, self.error = self.error, None
            raise error
        return super().handle_control()

    def work(self) -> int:
        return IDLE


async def test_a_turn_that_raises_while_a_callback_awaits_ends_the_callback_first() -> None:
    process = Raising("raising", Gate, Scheduler())
    process.start()
    ref = Ref(process)
    waiting = asyncio.create_task(ref.call(Gate.wait))
    await until(lambda: process.is_busy)
    gate = process.callbacks
    assert gate is not None
    await gate.has_entered.wait()
    error = process.error = Oops("turn")
    process.scheduler.wake(process.turns)
    with pytest.raises(ProcessDown) as caught:
        await waiting
    assert caught.value.reason is error
    assert await process.terminated is error
    assert gate.gate.cancelled()
    assert gate.reasons == [error]


async def test_the_first_error_of_several_turns_is_the_reason_and_the_others_are_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    process = Raising("raising", Gate, Scheduler())
    process.start()
    ref = Ref(process)
    waiting = asyncio.create_task(ref.call(Gate.wait))
    await until(lambda: process.is_busy)
    errors = [Oops("first"), Oops("second")]
    for error in errors:
        process.fail_turn(error)
    with pytest.raises(ProcessDown) as caught:
        await waiting
    assert caught.value.reason is errors[0]
    assert said(caplog) == ["process 'raising' raised while it ended", "process 'raising' crashed"]
