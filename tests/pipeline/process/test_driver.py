"""The driver: one task for all of a process's async callbacks, however they end."""

import asyncio
import gc
import logging
from collections.abc import Awaitable, Generator
from contextvars import ContextVar, copy_context

import pytest

from headrace.pipeline.process.driver import Driver
from headrace.pipeline.process.scheduler import Scheduler
from tests.fakes.processes import ANYTHING, Abort, Clock, Oops, hops, raising_later, said
from tests.fakes.stepping import until

pytestmark = [pytest.mark.usefixtures("vanished")]

VARIABLE: ContextVar[str] = ContextVar("variable", default="unset")


class Runs:
    """A driver, and what it told of the work that it was given."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.held: list[float] = []
        self.context = copy_context()
        scheduler = Scheduler() if clock is None else Scheduler(clock=clock)
        self.driver = Driver(scheduler, self.context, "owner", self.held.append)
        self.ends: list[object] = []
        self.tasks: list[object] = []

    def run(self, work: Awaitable[object]) -> None:
        self.driver.run(work, self.done)

    def done(self, result: object, error: BaseException | None) -> None:
        self.ends.append(error or result)

    async def ended(self, count: int = 1) -> list[object]:
        await until(lambda: len(self.ends) >= count)
        return self.ends

    async def close(self) -> None:
        self.driver.close()
        await hops(3)
        task = self.driver._task
        assert task is None or task.done()

    async def here(self) -> None:
        """Note which task runs this."""
        self.tasks.append(asyncio.current_task())
        await asyncio.sleep(0)
        self.tasks.append(asyncio.current_task())

    async def forever(self) -> None:
        """Wait for what never comes."""
        await asyncio.get_running_loop().create_future()

    async def stubborn(self, gate: "asyncio.Future[object]") -> object:
        """Go on whatever happens, until the gate opens."""
        while not gate.done():
            try:
                await asyncio.shield(gate)
            except asyncio.CancelledError:
                self.ends.append("ignored")
        return gate.result()


async def _give(result: object) -> object:
    await asyncio.sleep(0)
    return result


@pytest.mark.asyncio
async def test_one_task_runs_all_work_in_order() -> None:
    runs = Runs()
    runs.run(runs.here())
    runs.run(_give("second"))
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
    for work in (Custom(), future, _give("coroutine")):
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
async def test_a_future_that_somebody_cancelled_is_told_and_the_task_lives_on() -> None:
    runs = Runs()
    future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    runs.run(runs.here())
    runs.run(future)
    await hops(3)
    future.cancel()
    runs.run(runs.here())
    ends = await runs.ended(3)
    assert isinstance(ends[1], asyncio.CancelledError)
    assert len(set(runs.tasks)) == 1
    await runs.close()


@pytest.mark.asyncio
async def test_a_task_that_somebody_cancelled_runs_what_is_left_and_ends() -> None:
    runs = Runs()
    runs.run(runs.forever())
    runs.run(runs.here())
    await hops(3)
    task = runs.driver._task
    assert task is not None
    task.cancel()
    ends = await runs.ended(2)
    assert isinstance(ends[0], asyncio.CancelledError)
    assert ends[1] is None
    assert runs.tasks[0] is task
    await hops(1)
    assert task.done()


@pytest.mark.asyncio
async def test_what_comes_after_the_task_was_cancelled_runs_in_a_new_one() -> None:
    runs = Runs()
    runs.run(runs.here())
    await runs.ended()
    task = runs.driver._task
    assert task is not None
    task.cancel()
    await hops(2)
    assert task.done()
    runs.run(runs.here())
    await runs.ended(2)
    assert runs.tasks[0] is not runs.tasks[2]
    await runs.close()


@pytest.mark.asyncio
async def test_work_that_takes_no_notice_of_a_foreign_cancellation_is_the_task_s_last() -> None:
    runs = Runs()
    gate: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    runs.run(runs.stubborn(gate))
    await hops(2)
    task = runs.driver._task
    assert task is not None
    task.cancel()
    await hops(2)
    gate.set_result("done")
    assert await runs.ended(2) == ["ignored", "done"]
    await hops(1)
    assert task.done()


@pytest.mark.asyncio
async def test_a_task_cancelled_before_its_first_step_tells_of_it_and_what_is_left_runs() -> None:
    runs = Runs()
    runs.run(runs.forever())
    runs.run(_give("second"))
    task = runs.driver._task
    assert task is not None
    task.cancel()
    ends = await runs.ended(2)
    assert isinstance(ends[0], asyncio.CancelledError)
    assert ends[1] == "second"
    await runs.close()


@pytest.mark.asyncio
async def test_cancel_ends_the_work_that_runs_and_the_task_lives_on() -> None:
    runs = Runs()
    runs.run(runs.here())
    runs.run(runs.forever())
    runs.run(runs.here())
    await hops(4)
    runs.driver.cancel()
    runs.driver.cancel()
    ends = await runs.ended(3)
    assert isinstance(ends[1], asyncio.CancelledError)
    assert ends[2] is None
    assert len(set(runs.tasks)) == 1
    await runs.close()


@pytest.mark.asyncio
async def test_cancel_before_the_first_step_is_told() -> None:
    runs = Runs()
    runs.run(runs.forever())
    runs.driver.cancel()
    assert isinstance((await runs.ended())[0], asyncio.CancelledError)
    await runs.close()


@pytest.mark.asyncio
async def test_cancel_with_nothing_to_run_changes_nothing() -> None:
    runs = Runs()
    runs.driver.cancel()
    runs.run(_give("first"))
    await runs.ended()
    runs.driver.cancel()
    runs.run(_give("second"))
    assert await runs.ended(2) == ["first", "second"]
    await runs.close()


@pytest.mark.asyncio
async def test_a_cancellation_that_comes_too_late_for_its_work_does_not_hit_the_next() -> None:
    runs = Runs()

    async def cancels_itself() -> object:
        runs.driver.cancel()
        return "returned before it came"

    runs.run(cancels_itself())
    runs.run(_give("next"))
    assert await runs.ended(2) == ["returned before it came", "next"]
    runs.run(_give("later"))
    assert await runs.ended(3) == ["returned before it came", "next", "later"]
    await runs.close()


@pytest.mark.asyncio
async def test_our_cancellation_does_not_hide_a_foreign_one() -> None:
    runs = Runs()
    runs.run(runs.forever())
    await hops(2)
    task = runs.driver._task
    assert task is not None
    runs.driver.cancel()
    task.cancel()
    await runs.ended()
    await hops(2)
    assert task.done()


@pytest.mark.asyncio
async def test_work_that_is_overdue_is_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    runs = Runs()
    runs.run(runs.forever())
    runs.driver.cancel_after(0)
    assert isinstance((await runs.ended())[0], asyncio.CancelledError)
    assert said(caplog, logging.INFO) == ["process 'owner' cancels its callback, which went on for 0 s"]
    await runs.close()


@pytest.mark.asyncio
async def test_work_that_ends_in_time_is_not_cancelled_and_neither_is_what_comes_later() -> None:
    runs = Runs()
    runs.run(_give("in time"))
    runs.driver.cancel_after(1000)
    deadline = runs.driver._deadline
    assert deadline is not None
    await runs.ended()
    assert deadline.cancelled()
    await runs.close()


@pytest.mark.asyncio
async def test_a_deadline_none_is_never() -> None:
    runs = Runs()
    runs.run(runs.forever())
    runs.driver.cancel_after(1000)
    runs.driver.cancel_after(None)
    assert runs.driver._deadline is None
    runs.driver.cancel()
    await runs.ended()
    await runs.close()


@pytest.mark.asyncio
async def test_work_that_ignores_its_cancellation_is_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    runs = Runs()
    gate: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    runs.run(runs.stubborn(gate))
    runs.run(_give("next"))
    await hops(2)
    left_behind = runs.driver._task
    assert left_behind is not None
    runs.driver.cancel_after(0)
    ends = await runs.ended(3)
    assert ends[0] == "ignored"
    assert isinstance(ends[1], asyncio.CancelledError)
    assert ends[2] == "next"
    assert said(caplog) == ["process 'owner' has a callback that does not end when cancelled, and leaves it behind"]
    gate.set_result("late")
    await left_behind
    assert len(ends) == 3
    await runs.close()


@pytest.mark.asyncio
async def test_what_was_left_behind_and_raises_is_named_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    runs = Runs()
    gate: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    runs.run(runs.stubborn(gate))
    await hops(2)
    left_behind = runs.driver._task
    assert left_behind is not None
    runs.driver.cancel_after(0)
    await runs.ended(2)
    gate.set_exception(Oops("late"))
    await left_behind
    assert said(caplog)[1:] == ["a callback that process 'owner' had left behind raised"]
    assert len(runs.ends) == 2
    await runs.close()


@pytest.mark.asyncio
async def test_a_step_that_holds_the_loop_is_told() -> None:
    clock = Clock()
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


def test_a_loop_that_cancels_all_tasks_at_its_end_does_not_hang() -> None:
    ends: list[object] = []

    async def main() -> None:
        runs = Runs()
        runs.ends = ends
        runs.run(runs.forever())
        runs.run(_give("what closes"))
        await hops(2)
        raise Abort

    with pytest.raises(Abort):
        asyncio.run(main())
    assert isinstance(ends[0], asyncio.CancelledError)
    assert ends[1] == "what closes"
