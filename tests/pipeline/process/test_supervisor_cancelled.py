"""A task that is cancelled wherever it waits for a supervisor: nobody is left running whom nobody watches over."""

import asyncio
from collections.abc import Callable, Coroutine

import pytest

from headrace.pipeline.process.process import State
from headrace.pipeline.process.supervisor import Supervisor
from tests.fakes.cancelling import HOWS, How, at_every_step, cancelled_at
from tests.fakes.processes import hops, supervising
from tests.fakes.slow_servers import Lifeline, SlowServer

pytestmark = [pytest.mark.asyncio, pytest.mark.usefixtures("vanished")]


async def check_over(supervisor: Supervisor, lifeline: Lifeline) -> None:
    """Assert that a supervisor has ended, or does so by itself, and its children with it."""
    await asyncio.wait_for(asyncio.shield(supervisor.buried), 5)
    await hops(3)
    assert supervisor.state is State.ENDED
    assert lifeline.alive() == []
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("how", HOWS)
async def test_a_block_that_is_cancelled_anywhere_leaves_no_child_running(how: How) -> None:
    async def attempt(step: int) -> bool:
        lifeline = Lifeline()
        supervisor = Supervisor("supervisor", children=(lifeline.spec("a"), lifeline.spec("b")))

        async def block() -> None:
            async with supervisor:
                await supervisor.start_child(lifeline.spec("c"))
                assert lifeline.alive() == ["a", "b", "c"]

        was_cancelled = await cancelled_at(block(), step, how)
        await check_over(supervisor, lifeline)
        return was_cancelled

    assert await at_every_step(attempt) == 3  # the start, the child, and the end


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("is_tree", [True, False])
async def test_a_start_of_a_child_that_is_cancelled_leaves_its_name_free(how: How, *, is_tree: bool) -> None:
    async with supervising() as supervisor:
        lifeline = Lifeline()

        async def start() -> None:
            if is_tree:
                await supervisor.start_supervisor("child", children=(lifeline.spec("grandchild"),))
            else:
                await supervisor.start_child(lifeline.spec("child"))

        async def attempt(step: int) -> bool:
            was_cancelled = await cancelled_at(start(), step, how)
            await hops(3)
            assert len(supervisor.which_children()) == len(lifeline.alive()) == (0 if was_cancelled else 1)
            return was_cancelled

        assert await at_every_step(attempt) == 1


async def _terminate(supervisor: Supervisor) -> None:
    await supervisor.terminate_child("child")


async def _stop(supervisor: Supervisor) -> None:
    await supervisor.whereis("child").stop()


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("end", [_terminate, _stop])
async def test_an_end_of_a_child_that_is_cancelled_comes_all_the_same(
    how: How, end: Callable[[Supervisor], Coroutine[object, object, None]]
) -> None:
    async with supervising() as supervisor:

        async def attempt(step: int) -> bool:
            lifeline = Lifeline()
            await supervisor.start_child(lifeline.spec("child", "temporary"))
            was_cancelled = await cancelled_at(end(supervisor), step, how)
            await hops(10)
            assert lifeline.alive() == []
            assert supervisor.which_children() == []
            return was_cancelled

        assert await at_every_step(attempt) == 1


@pytest.mark.parametrize("how", HOWS)
async def test_a_restart_that_is_cancelled_can_be_tried_again(how: How) -> None:
    async def attempt(step: int) -> bool:
        lifeline = Lifeline()
        async with Supervisor("supervisor", children=(lifeline.spec("child"), lifeline.spec("other"))) as supervisor:
            await supervisor.terminate_child("child")

            async def restart() -> None:
                await supervisor.restart_child("child")

            was_cancelled = await cancelled_at(restart(), step, how)
            await hops(10)
            if was_cancelled:
                assert lifeline.alive() == ["other"]
                assert [info.state for info in supervisor.which_children()] == ["ended", "running"]
                await restart()
            assert lifeline.alive() == ["child", "other"]
            assert await supervisor.whereis("child", SlowServer).call(SlowServer.hello) == "child"
        await check_over(supervisor, lifeline)
        return was_cancelled

    assert await at_every_step(attempt) == 1
