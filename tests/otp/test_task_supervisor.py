"""Task supervisors: tasks that end with them, at most so many at a time."""

import asyncio

import pytest

from headrace.errors import BadOption, ForeignThread, NoProcess, TaskFailed, TooManyChildren
from headrace.otp.process.process import ProcessStatus
from headrace.otp.scheduler import Scheduler
from headrace.otp.task import Failed, Finished
from headrace.otp.task_supervisor import TaskSupervisor
from tests.fakes.cancelling import HOWS, How, at_every_step, cancelled_at
from tests.fakes.processes import Oops, hops, raising_later, said
from tests.fakes.tasks import Door, Failures, double, double_later

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("vanished")]


async def test_a_supervised_task_gives_its_result() -> None:
    async with TaskSupervisor("tasks") as tasks:
        assert await tasks.async_nolink(double_later, 4).result() == 8
        assert await tasks.start_child(double, number=4).result() == 8


async def test_a_failure_hurts_neither_its_supervisor_nor_its_siblings(caplog: pytest.LogCaptureFixture) -> None:
    door, error = Door(), Oops("x")
    async with TaskSupervisor("tasks") as tasks:
        failures = Failures(tasks.scheduler)
        sibling = tasks.start_child(door.pass_through, "sibling")
        tasks.start_child(raising_later, error)
        await hops()
        with pytest.raises(TaskFailed):
            await tasks.async_nolink(raising_later, error).result()
        door.opened.set()
        assert await sibling.result() == "sibling"
        assert failures.told == [("raising_later", error)] * 2
    assert said(caplog) == ["task 'raising_later' failed"]


async def test_tasks_may_come_to_their_end_within_the_shutdown_time() -> None:
    door = Door()
    async with TaskSupervisor("tasks", shutdown_seconds=None) as tasks:
        passing = [tasks.start_child(door.pass_through, number) for number in range(3)]
        await door.has_come.wait()
        asyncio.get_running_loop().call_soon(door.opened.set)
    assert [await task.yield_() for task in passing] == [Finished(0), Finished(1), Finished(2)]


async def test_tasks_that_go_on_after_the_shutdown_time_are_cancelled_all_at_once() -> None:
    door = Door()
    async with TaskSupervisor("tasks", shutdown_seconds=0) as tasks:
        waiting = [tasks.start_child(door.pass_through, number) for number in range(3)]
        await hops()
    assert door.cancelled == [0, 1, 2]
    assert [await task.yield_() for task in waiting] == [Failed("shutdown")] * 3


async def test_no_more_tasks_live_at_a_time_than_allowed() -> None:
    door = Door()
    async with TaskSupervisor("tasks", max_children=2) as tasks:
        first = tasks.start_child(door.pass_through)
        tasks.start_child(door.pass_through)
        with pytest.raises(TooManyChildren, match="'tasks' has 2 children, as many as it may"):
            tasks.start_child(double, 1)
        assert [task.name for task in tasks.children()] == ["pass_through"] * 2
        await first.shutdown()
        assert await tasks.start_child(double, 1).result() == 2
        door.opened.set()
    with pytest.raises(BadOption, match="max_children is 0, and must be a whole number, 1 or more"):
        TaskSupervisor("none", max_children=0)


async def test_a_supervisor_that_does_not_run_takes_no_tasks() -> None:
    tasks = TaskSupervisor("tasks")
    with pytest.raises(NoProcess):
        tasks.start_child(double, 1)
    async with tasks:
        with pytest.raises(ForeignThread):
            await asyncio.to_thread(tasks.start_child, double, 1)
    with pytest.raises(NoProcess):
        tasks.start_child(double, 1)


async def test_tasks_that_have_ended_are_forgotten() -> None:
    async with TaskSupervisor("tasks") as tasks:
        for number in range(3):
            await tasks.start_child(double, number).result()
        assert tasks.children() == []


async def test_a_wait_that_is_cancelled_leaves_a_supervised_task_alone() -> None:
    door = Door()
    async with TaskSupervisor("tasks") as tasks:
        task = tasks.async_nolink(door.pass_through, 1)
        waiting = asyncio.create_task(task.result())
        await door.has_come.wait()
        waiting.cancel()
        await hops()
        assert task.is_alive
        door.opened.set()
        assert await task.result() == 1


@pytest.mark.parametrize("how", HOWS)
async def test_a_block_that_is_cancelled_anywhere_leaves_no_task_behind(how: How) -> None:
    async def attempt(step: int) -> bool:
        door = Door()
        tasks = TaskSupervisor("tasks", Scheduler(), shutdown_seconds=0)

        async def block() -> None:
            async with tasks:
                tasks.start_child(door.pass_through)
                await door.has_come.wait()
                await tasks.start_child(double_later, 1).result()

        was_cancelled = await cancelled_at(block(), step, how)
        assert tasks.state is ProcessStatus.ENDED
        assert door.waiting == set()
        return was_cancelled

    assert await at_every_step(attempt) > 3
