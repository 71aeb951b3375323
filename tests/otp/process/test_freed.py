"""What has ended is freed at once: a process leads back to itself by nothing that outlives it."""

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest

from headrace.otp.process.process import Process
from headrace.otp.process.task_process import TaskProcess
from headrace.otp.scheduler import Scheduler
from tests.fakes.processes import Script, hops


@pytest.fixture
def _no_collector() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


class Token:
    """What a process is given, and nobody else has."""

    async def use(self) -> None:
        await asyncio.sleep(0)

    def touch(self) -> None:
        """Do nothing."""


async def end(process: Process[object]) -> None:
    process.start()
    await hops()
    process.stop()
    await hops()
    assert process.terminated.done()


@pytest.mark.asyncio
@pytest.mark.usefixtures("_no_collector")
@pytest.mark.parametrize("method", ["use", "touch"])
async def test_a_task_that_has_ended_is_freed_without_the_collector(method: str) -> None:
    token = Token()
    watched = weakref.ref(token)
    process = TaskProcess("task", getattr(token, method), Scheduler())
    await end(process)
    del process, token
    await hops()
    assert watched() is None


@pytest.mark.asyncio
@pytest.mark.usefixtures("_no_collector")
async def test_a_process_that_has_ended_is_freed_without_the_collector() -> None:
    token = Token()
    watched = weakref.ref(token)
    process = Script("process", Scheduler(), token.use, token.touch)
    await end(process)
    del process, token
    await hops()
    assert watched() is None


@pytest.mark.asyncio
async def test_the_turn_of_one_that_has_ended_finds_nothing_to_do() -> None:
    scheduler = Scheduler()
    process = Script("process", scheduler)
    await end(process)
    scheduler.wake(process.turns)
    await hops()
    assert process.reason == "normal"
    assert not process.turns.is_ready
