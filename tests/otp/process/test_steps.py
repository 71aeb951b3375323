"""Steps: each is measured, and what is sent and thrown in arrives."""

import asyncio
import gc
from functools import partial

import pytest

from headrace.otp.process.task_runner import CoroutineSteps
from headrace.otp.scheduler import SLOW_CALLBACK_SECONDS
from tests.fakes.processes import ManualClock, Oops


@pytest.mark.asyncio
async def test_each_step_that_holds_the_loop_is_told() -> None:
    clock = ManualClock()
    held: list[float] = []
    worked: list[float] = []

    async def work() -> None:
        clock.advance(SLOW_CALLBACK_SECONDS / 2)
        await asyncio.sleep(0)
        clock.advance(0.07)
        await asyncio.sleep(0)
        clock.advance(SLOW_CALLBACK_SECONDS / 2)
        await asyncio.sleep(0)
        clock.advance(0.08)
        raise Oops

    with pytest.raises(Oops):
        await CoroutineSteps(clock, held.append, worked.append).run(work)
    assert held == [pytest.approx(0.07), pytest.approx(0.08)]
    assert sum(worked) == pytest.approx(0.15 + SLOW_CALLBACK_SECONDS)


@pytest.mark.asyncio
async def test_time_spent_waiting_is_not_held() -> None:
    clock = ManualClock()
    held: list[float] = []
    worked: list[float] = []
    asyncio.get_running_loop().call_soon(partial(clock.advance, 60.0))
    await CoroutineSteps(clock, held.append, worked.append).run(partial(asyncio.sleep, 0))
    assert clock() == 160.0
    assert held == []
    assert sum(worked) == 0.0


@pytest.mark.asyncio
async def test_a_cancellation_arrives_and_a_coroutine_may_go_on_after_it() -> None:
    seen: list[object] = []

    async def work() -> None:
        for what in "ab":
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                seen.append(what)

    task = asyncio.create_task(CoroutineSteps(ManualClock(), seen.append, list[object]().append).run(work))
    for _ in range(2):
        await asyncio.sleep(0)
        task.cancel()
    await task
    assert seen == ["a", "b"]


def test_a_loop_that_goes_away_unwinds_the_coroutine() -> None:
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # it complains of the task that is still pending, and rightly
    seen: list[object] = []

    async def work() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except BaseException as error:
            seen.append(type(error))
            raise

    task = loop.create_task(CoroutineSteps(ManualClock(), seen.append, list[object]().append).run(work))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    del task
    gc.collect()
    assert seen == [GeneratorExit]


@pytest.mark.asyncio
async def test_a_task_cancelled_before_its_first_step_begins_nothing() -> None:
    begun: list[object] = []

    async def work() -> None:
        begun.append("begun")

    task = asyncio.create_task(CoroutineSteps(ManualClock(), begun.append, list[object]().append).run(work))
    task.cancel()
    await asyncio.wait([task])
    gc.collect()
    assert task.cancelled()
    assert begun == []
