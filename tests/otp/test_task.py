"""Tasks: one function to its end, forgotten or awaited."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial

import pytest

from headrace.errors import CallToSelf, ForeignThread, TaskFailed, TaskTimeout
from headrace.otp.gen_server import GenServer
from headrace.otp.task import Failed, Finished, Task
from tests.fakes.cancelling import HOWS, How, at_every_step, cancelled_at
from tests.fakes.processes import Oops, hops, raising, raising_later, said, supervising
from tests.fakes.tasks import Door, Failures, double, double_later

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("vanished")]

Failing = Callable[[BaseException], object]


@pytest.mark.parametrize("function", [double, double_later])
async def test_a_task_gives_its_result_as_often_as_asked(function: Callable[[int], object]) -> None:
    task = Task.spawn(function, 4)
    assert [await task.result(), await task.result()] == [8, 8]
    assert not task.is_alive


async def test_a_task_takes_keywords_and_is_named_after_its_function() -> None:
    assert await Task.spawn(double, number=3).result() == 6
    assert (Task.start(double, 1).name, Task.start(partial(double, 1)).name) == ("double", "task")
    assert repr(Task.start(double, 1)) == "<Task 'double' starting>"


async def test_a_task_begins_in_a_later_turn_and_not_within_its_start() -> None:
    seen: list[int] = []
    task = Task.start(seen.append, 1)
    assert seen == []
    await task.result()
    assert seen == [1]


@pytest.mark.parametrize("fail", [raising, raising_later])
async def test_a_failure_reaches_whoever_waits_with_its_cause_and_not_the_log(
    fail: Failing, caplog: pytest.LogCaptureFixture
) -> None:
    error = Oops("x")
    with pytest.raises(TaskFailed, match="has no result") as caught:
        await Task.spawn(fail, error).result()
    assert caught.value.__cause__ is error
    assert caught.value.reason is error
    assert said(caplog) == []


@pytest.mark.parametrize("fail", [raising, raising_later])
async def test_a_failure_that_nobody_waits_for_is_logged_once_and_hurts_nobody(
    fail: Failing, caplog: pytest.LogCaptureFixture
) -> None:
    Task.start(fail, Oops("x"))
    await hops()
    assert said(caplog) == [f"task {fail.__name__!r} failed"]


async def test_a_failure_is_told_by_telemetry_of_the_process_that_started_it() -> None:
    class Shop(GenServer):
        def buy(self, error: BaseException) -> str:
            Task.start(raising_later, error)
            return "bought"

    async with supervising() as supervisor:
        failures, error = Failures(supervisor.scheduler), Oops("x")
        shop = await supervisor.start_child(Shop)
        assert await shop.call(Shop.buy, error) == "bought"
        await hops()
        assert failures.told == [("raising_later", error)]
        assert await shop.call(Shop.buy, error) == "bought"


async def test_a_result_that_comes_too_late_is_a_timeout_and_the_task_goes_on() -> None:
    door = Door()
    task = Task.spawn(door.pass_through, "late")
    with pytest.raises(TaskTimeout, match="task 'pass_through' had no result within 0 s"):
        await task.result(0)
    assert await task.yield_(0) is None
    door.opened.set()
    assert await task.result(None) == "late"


async def test_yield_tells_how_a_task_ended_and_raises_nothing() -> None:
    error = Oops("x")
    assert await Task.spawn(double, 2).yield_() == Finished(4)
    assert await Task.spawn(raising, error).yield_() == Failed(error)


async def test_shutdown_cancels_a_task_and_waits_for_its_end() -> None:
    door = Door()
    task = Task.spawn(door.pass_through)
    await door.has_come.wait()
    assert await task.shutdown() == Failed("shutdown")
    assert door.cancelled == [None]
    assert await task.shutdown() == Failed("shutdown")


async def test_shutdown_of_a_task_that_has_not_begun_never_begins_it() -> None:
    seen: list[int] = []
    assert await Task.spawn(seen.append, 1).shutdown() == Failed("shutdown")
    assert seen == []


async def test_shutdown_does_not_lose_a_result_that_is_there() -> None:
    task = Task.spawn(double, 2)
    await hops()
    assert await task.shutdown() == Finished(4)


async def test_a_task_that_does_not_end_when_cancelled_is_given_up_in_time() -> None:
    door = Door()

    async def stubborn() -> None:
        try:
            await door.pass_through()
        finally:
            await door.pass_through()

    task = Task.spawn(stubborn)
    await door.has_come.wait()
    assert await task.shutdown(0) is None
    door.opened.set()
    assert await task.yield_() == Failed("shutdown")


async def test_a_task_that_somebody_cancels_is_said_so_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    door = Door()
    task = Task.start(door.pass_through)
    await door.has_come.wait()
    for each in asyncio.all_tasks():
        if each.get_name() == "pass_through":
            each.cancel()
    assert isinstance(await task.yield_(), Failed)
    assert said(caplog, logging.WARNING) == ["task 'pass_through' was cancelled"]


@pytest.mark.parametrize("how", HOWS)
async def test_a_spawned_task_ends_with_whoever_is_cancelled_while_waiting_for_it(how: How) -> None:
    async def attempt(step: int) -> bool:
        door = Door()
        task = Task.spawn(door.pass_through)
        await door.has_come.wait()
        asyncio.get_running_loop().call_later(0.001, door.opened.set)
        was_cancelled = await cancelled_at(task.result(), step, how)
        if was_cancelled:
            assert not task.is_alive
            assert door.waiting == set()
        return was_cancelled

    assert await at_every_step(attempt) > 0


async def test_a_task_that_was_fired_and_forgotten_goes_on_when_a_wait_for_it_is_cancelled() -> None:
    door = Door()
    task = Task.start(door.pass_through, 1)
    waiting = asyncio.create_task(task.result())
    await door.has_come.wait()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    door.opened.set()
    assert await task.result() == 1


async def test_a_task_that_waits_for_itself_is_told_so_at_once() -> None:
    own: list[Task[object]] = []

    async def wait_for_itself() -> object:
        return await own[0].result()

    own.append(Task.spawn(wait_for_itself))
    with pytest.raises(TaskFailed) as caught:
        await own[0].result()
    assert isinstance(caught.value.reason, CallToSelf)


async def test_a_foreign_thread_can_neither_start_a_task_nor_wait_for_one() -> None:
    task = Task.spawn(double, 1)
    with pytest.raises(ForeignThread, match="start of task 'double' from a foreign thread"):
        await asyncio.to_thread(Task.start, double, 1)
    with pytest.raises(ForeignThread, match="wait for task 'double'"):
        await asyncio.to_thread(lambda: asyncio.run(task.result()))
    assert await task.result() == 2


async def test_tasks_that_no_process_starts_share_a_scheduler_on_a_loop_and_no_further() -> None:
    tasks = [Task.start(double, number) for number in range(2)]
    assert tasks[0]._process.scheduler is tasks[1]._process.scheduler

    async def elsewhere() -> object:
        return await Task.start(double, 3).result()

    assert await asyncio.to_thread(asyncio.run, elsewhere()) == 6


async def test_a_task_has_a_context_of_its_own_and_knows_what_its_starter_knew() -> None:
    class Reader(GenServer):
        async def read(self) -> int:
            return await Task.spawn(double_later, 21).result()

    async with supervising() as supervisor:
        assert await (await supervisor.start_child(Reader)).call(Reader.read) == 42
