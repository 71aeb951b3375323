"""Stops of processes: at once or after the callback that runs, with a bound at each step."""

import asyncio
import logging

import pytest

from headrace.errors import ProcessDown, StartFailed
from headrace.otp.process.process import Process
from headrace.otp.process.state import ProcessSettings
from headrace.otp.ref import Ref
from headrace.otp.scheduler import Scheduler
from tests.fakes.processes import Gate, Oops, Script, hops, said, supervising
from tests.fakes.stepping import until

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("vanished")]

AT_ONCE = ProcessSettings(shutdown_seconds=0)


class Slow(Gate):
    """Waits at its gate in `terminate`, and perhaps in `init`; may ignore that it is cancelled."""

    def __init__(self, *, is_stubborn: bool = False, waits_in_init: bool = False) -> None:
        super().__init__()
        self.is_stubborn = is_stubborn
        self.waits_in_init = waits_in_init
        self.cancellations = 0

    async def init(self) -> None:
        if self.waits_in_init:
            await self.wait()

    async def hold(self) -> None:
        """Wait until the gate opens, or a cancellation gets through."""
        self.has_entered.set()
        while not self.gate.done():
            try:
                await asyncio.shield(self.gate)
            except asyncio.CancelledError:
                self.cancellations += 1
                if not self.is_stubborn:
                    raise

    async def terminate(self, reason: object) -> None:  # type: ignore[override]
        self.reasons.append(reason)
        await self.hold()


def _process(slow: Slow, settings: ProcessSettings = AT_ONCE) -> Process[Slow]:
    process = Process("slow", lambda: slow, Scheduler(), settings)
    process.start()
    return process


async def test_a_callback_that_runs_may_end_in_time_and_its_caller_gets_the_reply() -> None:
    process = Process("gate", Gate, Scheduler())
    process.start()
    ref = Ref(process)
    waiting = asyncio.create_task(ref.call(Gate.wait))
    await until(lambda: process.is_busy)
    gate = process.callbacks
    assert gate is not None
    process.stop()
    process.stop()
    gate.gate.set_result("in time")
    assert await waiting == "in time"
    assert await process.terminated == "shutdown"
    assert gate.reasons == ["shutdown"]


async def test_a_callback_that_does_not_end_in_time_is_cancelled_and_terminate_runs_after() -> None:
    async with supervising() as supervisor:
        gate = Gate()
        ref = await supervisor.start_child(lambda: gate, name="gate", settings=AT_ONCE)
        waiting = asyncio.create_task(ref.call(Gate.wait))
        await gate.has_entered.wait()
        assert await ref.stop() == "shutdown"
        with pytest.raises(ProcessDown, match=r"ended before it answered \(it was stopped\)"):
            await waiting
        assert gate.gate.cancelled()
        assert gate.reasons == ["shutdown"]


async def test_a_callback_that_raises_as_it_is_cancelled_crashes_its_process_which_stays_down() -> None:
    class Angry(Gate):
        async def wait(self) -> object:
            try:
                return await super().wait()
            except asyncio.CancelledError:
                raise Oops from None

    async with supervising() as supervisor:
        angry = Angry()
        ref = await supervisor.start_child(lambda: angry, name="angry", settings=AT_ONCE)
        await ref.cast(Angry.wait)
        await angry.has_entered.wait()
        assert isinstance(await ref.stop(), Oops)
        assert ref._process.restarts == 0


async def test_a_terminate_that_hangs_is_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    slow = Slow()
    process = _process(slow)
    await process.started
    process.stop()
    assert await process.terminated == "shutdown"
    assert slow.reasons == ["shutdown"]
    assert slow.cancellations == 1
    assert said(caplog, logging.INFO) == ["process 'slow' cancels its callback, which went on for 0 s"]


async def test_a_terminate_that_does_not_end_when_cancelled_is_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    slow = Slow(is_stubborn=True)
    process = _process(slow)
    await process.started
    process.stop()
    assert await process.terminated == "shutdown"
    assert said(caplog) == ["process 'slow' has a callback that does not end when cancelled, and leaves it behind"]
    slow.gate.set_result(None)
    await hops(3)


async def test_a_callback_that_does_not_end_when_cancelled_is_left_behind_and_terminate_runs() -> None:
    slow = Slow(is_stubborn=True)
    process = _process(slow)
    ref = Ref(process)
    waiting = asyncio.create_task(ref.call(Slow.hold))
    await slow.has_entered.wait()
    process.stop()
    with pytest.raises(ProcessDown):
        await waiting
    assert await process.terminated == "shutdown"
    assert slow.reasons == ["shutdown"]
    slow.gate.set_result(None)
    await hops(3)


async def test_kill_cancels_the_callback_that_runs_at_once_and_gives_terminate_its_time() -> None:
    slow = Slow()
    process = _process(slow, ProcessSettings())
    ref = Ref(process)
    waiting = asyncio.create_task(ref.call(Slow.hold))
    await slow.has_entered.wait()
    process.kill()
    with pytest.raises(ProcessDown):
        await waiting
    await until(lambda: slow.reasons == ["shutdown"])
    process.kill()
    await hops()
    assert slow.cancellations == 1
    slow.gate.set_result(None)
    assert await process.terminated == "shutdown"


async def test_a_stop_during_an_async_init_cancels_it_and_the_start_has_failed() -> None:
    slow = Slow(waits_in_init=True)
    process = _process(slow)
    await slow.has_entered.wait()
    process.stop()
    with pytest.raises(StartFailed, match="'slow' could not start: it was stopped"):
        await process.started
    assert await process.terminated == "shutdown"
    assert slow.gate.cancelled()
    assert slow.reasons == ["shutdown"]


async def test_a_stop_before_the_first_turn_begins_nothing() -> None:
    made: list[object] = []
    process = Process("late", lambda: made.append(1), Scheduler())
    process.start()
    process.stop()
    assert await process.terminated == "shutdown"
    with pytest.raises(StartFailed):
        await process.started
    assert made == []


async def test_a_stop_in_the_process_s_own_callback_comes_after_it() -> None:
    steps: list[str] = []

    def stop() -> None:
        process.stop()
        steps.append("first")

    process = Script("script", Scheduler(), stop, lambda: steps.append("second"))
    process.start()
    assert await process.terminated == "shutdown"
    assert steps == ["first"]


async def test_casts_that_nobody_will_read_are_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    process = Process("gate", Gate, Scheduler(), AT_ONCE)
    process.start()
    ref = Ref(process)
    await ref.cast(Gate.wait)
    await until(lambda: process.is_busy)
    for number in range(3):
        ref.cast_nowait(Gate.note, number)
    ref.info("news")
    await ref.stop()
    assert said(caplog, logging.WARNING) == ["process 'gate' ended with 3 casts in its mailbox, which are lost"]
