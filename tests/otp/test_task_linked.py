"""Tasks that a process spawns: linked to it, as OTP's are."""

import asyncio
import logging
from collections.abc import Callable
from typing import ClassVar

import pytest

from headrace.errors import ProcessDown
from headrace.otp.gen_server import GenServer
from headrace.otp.links import Exit
from headrace.otp.task import Failed, Finished, Task
from headrace.otp.task_supervisor import TaskSupervisor
from tests.fakes.processes import Oops, hops, raising_later, said, supervising
from tests.fakes.tasks import Door, double_later

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("vanished")]


class Owner(GenServer):
    """Spawns tasks, and notes the exits that it is told of."""

    trap_exits: ClassVar[bool] = False

    def __init__(self) -> None:
        self.task: Task[object] | None = None
        self.exits: list[object] = []

    async def spawn(self, function: Callable[..., object], *args: object) -> None:
        self.task = Task.spawn(function, *args)

    async def await_it(self, function: Callable[..., object], *args: object) -> object:
        return await Task.spawn(function, *args).result()

    async def shut_it_down(self) -> object:
        assert self.task is not None
        return await self.task.shutdown()

    def fail(self, error: BaseException) -> None:
        raise error

    def handle_info(self, message: object) -> None:
        self.exits.append(message)

    def noted(self) -> list[object]:
        return self.exits


class Trapping(Owner):
    trap_exits: ClassVar[bool] = True


async def test_a_result_is_given_to_the_process_and_nothing_else_comes_of_it() -> None:
    async with supervising() as supervisor:
        owner = await supervisor.start_child(Owner)
        assert await owner.call(Owner.await_it, double_later, 2) == 4
        assert await owner.call(Owner.noted) == []


async def test_the_failure_of_a_spawned_task_ends_the_process_that_spawned_it(caplog: pytest.LogCaptureFixture) -> None:
    async with supervising() as supervisor:
        owner, error = await supervisor.start_child(Owner), Oops("x")
        with pytest.raises(ProcessDown) as caught:
            await owner.call(Owner.await_it, raising_later, error)
        assert caught.value.reason is error
        assert await owner.call(Owner.noted) == []
    assert said(caplog).count("task 'raising_later' failed") <= 1


async def test_the_crash_of_a_process_ends_the_tasks_that_it_spawned_and_is_not_said_to_be_theirs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    door = Door()
    async with supervising() as supervisor:
        owner = await supervisor.start_child(Owner)
        await owner.call(Owner.spawn, door.pass_through)
        await door.has_come.wait()
        with pytest.raises(ProcessDown):
            await owner.call(Owner.fail, Oops("x"))
        await hops()
        assert door.cancelled == [None]
        assert door.waiting == set()
    assert said(caplog) == ["process 'Owner' crashed"]


async def test_a_failure_that_ends_one_task_after_the_other_is_logged_where_it_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def outer(error: BaseException) -> None:
        await Task.spawn(raising_later, error).result()

    error = Oops("x")
    assert await Task.start(outer, error).yield_() == Failed(error)
    assert said(caplog) == []
    Task.start(outer, error)
    await hops(20)
    assert said(caplog) == ["task 'outer' failed"]


async def test_a_process_that_traps_exits_is_told_instead() -> None:
    async with supervising() as supervisor:
        owner, error = await supervisor.start_child(Trapping), Oops("x")
        await owner.call(Owner.spawn, raising_later, error)
        await hops()
        assert await owner.call(Owner.noted) == [Exit("raising_later", error)]


async def test_a_shutdown_is_no_failure_to_the_process_that_orders_it() -> None:
    door = Door()
    async with supervising() as supervisor:
        owner = await supervisor.start_child(Owner)
        await owner.call(Owner.spawn, door.pass_through)
        await door.has_come.wait()
        assert await owner.call(Owner.shut_it_down) == Failed("shutdown")
        assert await owner.call(Owner.noted) == []
        assert owner.is_alive


async def test_a_process_that_gives_a_task_up_goes_on() -> None:
    door = Door()

    class Impatient(GenServer):
        async def ask(self) -> str:
            try:
                async with asyncio.timeout(0):
                    await Task.spawn(door.pass_through).result()
            except TimeoutError:
                return "nothing"
            return "something"

    async with supervising() as supervisor:
        asker = await supervisor.start_child(Impatient)
        assert await asker.call(Impatient.ask) == "nothing"
        assert await asker.call(Impatient.ask) == "nothing"
        assert door.waiting == set()


async def test_a_task_on_another_loop_is_linked_to_nobody_here() -> None:
    async def elsewhere() -> object:
        return await Task.spawn(raising_later, Oops("x")).yield_()

    class Asker(GenServer):
        async def ask(self) -> object:
            return await asyncio.to_thread(asyncio.run, elsewhere())

    async with supervising() as supervisor:
        asker = await supervisor.start_child(Asker)
        assert isinstance(await asker.call(Asker.ask), Failed)


async def test_a_task_without_link_hurts_nobody(caplog: pytest.LogCaptureFixture) -> None:
    async with TaskSupervisor("tasks") as tasks, supervising(tasks.scheduler) as supervisor:

        class Careful(GenServer):
            async def ask(self, error: BaseException) -> object:
                return await tasks.async_nolink(raising_later, error).yield_()

        error = Oops("x")
        asker = await supervisor.start_child(Careful)
        assert await asker.call(Careful.ask, error) == Failed(error)
    assert said(caplog, logging.ERROR) == []


async def test_a_supervised_task_is_linked_when_it_is_spawned() -> None:
    async with TaskSupervisor("tasks") as tasks, supervising(tasks.scheduler) as supervisor:

        class Asker(GenServer):
            async def ask(self, error: BaseException) -> object:
                return await tasks.spawn(raising_later, error).yield_()

        asker = await supervisor.start_child(Asker)
        with pytest.raises(ProcessDown):
            await asker.call(Asker.ask, Oops("x"))
    assert await Task.spawn(double_later, 1).yield_() == Finished(2)
