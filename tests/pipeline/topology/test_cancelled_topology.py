"""A task that is cancelled wherever it waits for a topology: all is as before, or all has ended without a rest."""

import asyncio
import gc
from collections.abc import Callable, Coroutine
from contextlib import suppress

import pytest

from headrace.pipeline.topology.topology import Topology
from tests.fakes.cancelling import HOWS, How, at_every_step, cancelled_at
from tests.fakes.laws import check_end
from tests.fakes.slow_lives import Lives, slow_chain
from tests.fakes.stepping import run_of

MANY = 10_000_000
"""More events than any of these topologies gets to handle."""


def others() -> set[asyncio.Task[object]]:
    """Return the tasks that run beside the test's own."""
    gc.collect()
    return asyncio.all_tasks() - {asyncio.current_task()}


async def check_gone(topology: Topology, lives: Lives) -> None:
    """Assert that a run is over, and left neither a task nor a stage that began and was not told of its end."""
    run = run_of(topology)
    await asyncio.wait_for(asyncio.shield(run.supervisor.terminated), 5)
    for _ in range(3):
        await asyncio.sleep(0)
    assert topology.state in {"stopped", "completed", "drained"}
    assert set(lives.begun) <= set(lives.ended)
    assert len(set(lives.ended)) == len(lives.ended)
    assert lives.handled == list(range(1, len(lives.handled) + 1))
    check_end(run)
    assert others() == set()


@pytest.mark.asyncio
@pytest.mark.parametrize("how", HOWS)
async def test_a_start_that_is_cancelled_leaves_nothing_running(how: How) -> None:
    async def attempt(step: int) -> bool:
        topology, lives = slow_chain(MANY)
        was_cancelled = await cancelled_at(topology.start(), step, how)
        if not was_cancelled:
            await topology.stop()
        await check_gone(topology, lives)
        return was_cancelled

    assert await at_every_step(attempt) == 4  # the supervisor, and three stages


@pytest.mark.asyncio
@pytest.mark.parametrize("how", HOWS)
async def test_a_join_that_is_cancelled_changes_nothing(how: How) -> None:
    async def attempt(step: int) -> bool:
        topology, lives = slow_chain(100)
        await topology.start()
        was_cancelled = await cancelled_at(topology.join(), step, how)
        if was_cancelled and step == 0 and how == "waiting":
            assert topology.state == "running"
        assert (await topology.join()).is_fine
        assert len(lives.handled) == 100
        await check_gone(topology, lives)
        return was_cancelled

    assert await at_every_step(attempt) == 3


async def _run(topology: Topology) -> None:
    await topology.run()


async def _short_block(topology: Topology) -> None:
    async with topology:
        pass


async def _failing_block(topology: Topology) -> None:
    async with topology:
        raise KeyError


@pytest.mark.asyncio
@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("work", [_run, _short_block, _failing_block])
async def test_who_started_a_run_and_is_cancelled_wherever_it_waits_leaves_nothing_running(
    how: How, work: Callable[[Topology], Coroutine[object, object, None]]
) -> None:
    async def attempt(step: int) -> bool:
        topology, lives = slow_chain(100)

        async def guarded() -> None:
            with suppress(KeyError):
                await work(topology)

        was_cancelled = await cancelled_at(guarded(), step, how)
        await check_gone(topology, lives)
        return was_cancelled

    assert await at_every_step(attempt) > 5


@pytest.mark.asyncio
@pytest.mark.parametrize("how", HOWS)
async def test_a_stop_that_is_cancelled_stops_all_the_same(how: How) -> None:
    async def attempt(step: int) -> bool:
        topology, lives = slow_chain(MANY)
        await topology.start()
        was_cancelled = await cancelled_at(topology.stop(), step, how)
        await check_gone(topology, lives)
        return was_cancelled

    assert await at_every_step(attempt) == 2


@pytest.mark.asyncio
@pytest.mark.parametrize("how", HOWS)
async def test_a_drain_that_is_cancelled_goes_on_and_can_be_waited_for_again(how: How) -> None:
    async def attempt(step: int) -> bool:
        topology, lives = slow_chain(MANY)
        await topology.start()
        was_cancelled = await cancelled_at(topology.drain(), step, how)
        assert topology.state in {"draining", "completed", "drained"}
        await topology.drain()
        assert topology.state in {"completed", "drained"}
        await check_gone(topology, lives)
        return was_cancelled

    assert await at_every_step(attempt) == 3
