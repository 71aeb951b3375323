"""Async callbacks whose process is stopped, cancelled or crashed at each of their awaits: nothing is left or lost."""

import asyncio
import gc
import logging
from collections.abc import Callable, Coroutine, Iterator
from typing import Final

import pytest

from headrace.errors import HeadraceError
from headrace.otp.process.process import ProcessStatus
from headrace.pipeline.topology.run import Run
from headrace.pipeline.topology.topology import Topology
from tests.fakes.halting import CALLBACKS, SUSPENSIONS, Halt, halting_chain
from tests.fakes.laws import check_demand, check_end, discarded, inlet_of, outlet_of
from tests.fakes.machine_loop import JumpingLoop
from tests.fakes.processes import Oops
from tests.fakes.stepping import run_of, until

LATER_SECONDS = 1e9


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    logging.getLogger("headrace").setLevel(logging.CRITICAL)
    yield
    logging.getLogger("headrace").setLevel(logging.NOTSET)


def _stage_stops(topology: Topology, halt: Halt, stage: str) -> None:
    run_of(topology).processes[stage].stop()


def _stage_is_killed(topology: Topology, halt: Halt, stage: str) -> None:
    run_of(topology).processes[stage].kill()


def _task_is_cancelled(topology: Topology, halt: Halt, stage: str) -> None:
    task = run_of(topology).processes[stage].driver._task
    assert task is not None
    task.cancel()


def _callback_raises(topology: Topology, halt: Halt, stage: str) -> None:
    halt.goes_on.set_exception(Oops("x"))


def _goes_on_as_it_is_stopped(topology: Topology, halt: Halt, stage: str) -> None:
    halt.goes_on.set_result(None)
    run_of(topology).processes[stage].kill()


Harm = Callable[[Topology, Halt, str], None]
HARMS: Final[list[Harm]] = [
    _stage_stops,
    _stage_is_killed,
    _task_is_cancelled,
    _callback_raises,
    _goes_on_as_it_is_stopped,
]


async def _begin(topology: Topology, halt: Halt, callback: str) -> asyncio.Task[None]:
    """Start, see to it that the callback is called, and return when it has halted."""
    starting = asyncio.ensure_future(topology.start())
    stage, name = callback.split(".")
    if name != "init":
        await asyncio.wait([starting])
    if name == "handle_info":
        topology.stage(stage).ref.info("hello")
    if name == "terminate":
        run_of(topology).processes[stage].stop()
    await until(lambda: halt.is_reached)
    return starting


async def _end(topology: Topology, starting: asyncio.Task[None]) -> None:
    """Wait for the start, and drain; it may have failed."""
    await asyncio.wait([starting])
    if starting.exception() is None:
        await topology.drain(LATER_SECONDS)
    else:
        assert isinstance(starting.exception(), HeadraceError)


def _check(run: Run, halt: Halt) -> None:
    check_end(run)
    for name, process in run.processes.items():
        assert process.state is ProcessStatus.ENDED
        assert halt.ended.count(name) >= halt.begun.count(name)
        inlet, outlet = inlet_of(process), outlet_of(process)
        taken = 0 if inlet is None else inlet.received()
        sent = 0 if outlet is None else outlet.sent()
        assert discarded(process) == taken - halt.handled[name] + halt.made[name] - sent
    gc.collect()
    assert asyncio.all_tasks() == {asyncio.current_task()}


def _at_every_suspension(attempt: Callable[[int], Coroutine[object, object, None]]) -> None:
    loop = JumpingLoop()
    try:
        for step in range(SUSPENSIONS):
            loop.run(attempt(step))
    finally:
        loop.close()


@pytest.mark.parametrize("callback", CALLBACKS)
@pytest.mark.parametrize("harm", HARMS)
def test_a_callback_that_is_harmed_at_any_await_leaves_nothing_running_and_every_event_accounted_for(
    callback: str, harm: Harm
) -> None:
    async def attempt(step: int) -> None:
        halt = Halt(callback, step)
        topology = halting_chain(halt)
        starting = await _begin(topology, halt, callback)
        harm(topology, halt, callback.split(".", maxsplit=1)[0])
        for _ in range(20):
            await asyncio.sleep(0)
            check_demand(run_of(topology))
        if not halt.goes_on.done():
            halt.goes_on.set_result(None)
        await _end(topology, starting)
        _check(run_of(topology), halt)

    _at_every_suspension(attempt)


@pytest.mark.parametrize("callback", CALLBACKS)
def test_a_run_that_is_stopped_at_any_await_of_a_callback_leaves_nothing_running(callback: str) -> None:
    async def attempt(step: int) -> None:
        halt = Halt(callback, step)
        topology = halting_chain(halt)
        starting = await _begin(topology, halt, callback)
        await topology.stop()
        await asyncio.wait([starting])
        _check(run_of(topology), halt)

    _at_every_suspension(attempt)
