"""The driver: one task for all of a process's async callbacks, however they end."""

import asyncio
import gc
from collections.abc import Generator
from contextvars import ContextVar

import pytest

from tests.fakes.driving import Runs, give
from tests.fakes.processes import ANYTHING, ManualClock, hops, raising_later
from tests.fakes.stepping import until

pytestmark = [pytest.mark.usefixtures("vanished")]

VARIABLE: ContextVar[str] = ContextVar("variable", default="unset")


@pytest.mark.asyncio
async def test_one_task_runs_all_work_in_order() -> None:
    runs = Runs()
    runs.run(runs.here())
    runs.run(give("second"))
    await runs.ended(2)
    runs.run(runs.here())
    assert await runs.ended(3) == [None, "second", None]
    assert len(set(runs.tasks)) == 1
    await runs.close()


@pytest.mark.asyncio
@pytest.mark.parametrize("error", ANYTHING, ids=lambda error: type(error).__name__)
async def test_work_that_raises_anything_leaves_the_task_running(error: BaseException) -> None:
    runs = Runs()
    runs.run(runs.here())
    runs.run(raising_later(error))
    runs.run(runs.here())
    assert await runs.ended(3) == [None, error, None]
    assert len(set(runs.tasks)) == 1
    await runs.close()


@pytest.mark.asyncio
async def test_awaitables_of_any_kind_are_run() -> None:
    class Custom:
        def __await__(self) -> Generator[object, object, str]:
            yield from asyncio.sleep(0).__await__()
            return "custom"

    runs = Runs()
    future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    for work in (Custom(), future, give("coroutine")):
        runs.run(work)
    future.set_result("future")
    assert await runs.ended(3) == ["custom", "future", "coroutine"]
    await runs.close()


@pytest.mark.asyncio
async def test_work_runs_in_the_driver_s_context() -> None:
    runs = Runs()

    async def work() -> object:
        VARIABLE.set("inside")
        return None

    runs.run(work())
    await runs.ended()
    assert VARIABLE.get() == "unset"
    assert runs.context[VARIABLE] == "inside"
    await runs.close()


@pytest.mark.asyncio
async def test_what_comes_just_after_such_a_task_has_ended_waits_until_that_is_told() -> None:
    runs = Runs()
    runs.run(runs.forever())
    task = runs.driver._task
    assert task is not None
    task.cancel()
    await hops(1)
    assert task.done()
    assert runs.ends == []
    runs.run(give("second"))
    ends = await runs.ended(2)
    assert isinstance(ends[0], asyncio.CancelledError)
    assert ends[1] == "second"
    await runs.close()


@pytest.mark.asyncio
async def test_whoever_is_told_of_an_end_is_told_in_the_driver_s_context() -> None:
    runs = Runs()
    seen: list[str] = []

    def done(result: object, error: BaseException | None) -> None:
        seen.append(VARIABLE.get())
        VARIABLE.set(f"told {len(seen)} times")

    gate: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    runs.driver.run(give("ended"), done)
    await until(lambda: len(seen) == 1)
    runs.driver.run(runs.stubborn(gate), done)
    await hops(2)
    runs.driver.cancel_after(0)
    await until(lambda: len(seen) == 2)
    runs.driver.run(runs.forever(), done)
    runs.driver.cancel()
    await until(lambda: len(seen) == 3)
    assert seen == ["unset", "told 1 times", "told 2 times"]
    assert runs.context[VARIABLE] == "told 3 times"
    gate.set_result(None)
    await runs.close()


@pytest.mark.asyncio
async def test_a_step_that_holds_the_loop_is_told() -> None:
    clock = ManualClock()
    runs = Runs(clock)

    async def work() -> None:
        await asyncio.sleep(0)
        clock.advance(0.2)

    runs.run(work())
    await runs.ended()
    await runs.close()
    assert runs.held == [pytest.approx(0.2)]


def test_a_loop_that_goes_away_tells_nobody_of_work_that_it_interrupts() -> None:
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # it complains of the task that is still pending, and rightly

    async def begin() -> Runs:
        runs = Runs()
        runs.run(runs.forever())
        await hops(2)
        return runs

    runs = loop.run_until_complete(begin())
    loop.close()
    ends = runs.ends
    del runs
    gc.collect()
    assert ends == []
