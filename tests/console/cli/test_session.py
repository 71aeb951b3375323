"""A run under the command line, in this process, with real signals."""

import asyncio
import os
import signal

import pytest

from headrace.console.cli.session import HANDLED, RunPlan, run_until_end
from headrace.console.cli.streams import ExitCode
from headrace.console.cli.summary import RunSummary
from headrace.pipeline.topology.topology import Topology
from tests.fakes.console_stages import Crashing, Failing, Numbers, Opening, Shelf, Stuck, Unopened

pytestmark = pytest.mark.asyncio


def feeding(consumer: object, *, stays_open: bool = False, max_restarts: int = 0) -> Topology:
    topology = Topology("shop", max_restarts=max_restarts)
    topology.add("numbers", lambda: Numbers(10, stays_open=stays_open))
    topology.add("sink", lambda: consumer, subscribe_to="numbers")  # type: ignore[type-var] # any fake
    return topology


def interrupt(number: signal.Signals = signal.SIGTERM) -> None:
    os.kill(os.getpid(), number)


async def interrupted(topology: Topology, plan: RunPlan, ready: asyncio.Event, *numbers: signal.Signals) -> RunSummary:
    """Attend a topology, and send it signals from the moment on that `ready` tells."""
    async with asyncio.TaskGroup() as group:
        attending = group.create_task(run_until_end(topology, plan))
        await ready.wait()
        for number in numbers:
            interrupt(number)
            await asyncio.sleep(0)
    return attending.result()


async def test_a_run_that_completes_is_fine() -> None:
    shelf = Shelf()
    ending = await run_until_end(feeding(shelf), RunPlan())
    assert ending.exit_code is ExitCode.FINE
    assert shelf.kept == list(range(10))
    assert ending.snapshot is not None
    assert [stage.state for stage in ending.snapshot.stages] == ["completed", "completed"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_drains_and_that_is_fine(number: signal.Signals) -> None:
    shelf = Shelf(enough=10)
    ending = await interrupted(feeding(shelf, stays_open=True), RunPlan(), shelf.is_full, number)
    assert ending.exit_code is ExitCode.FINE
    assert ending.status() == "drained: all that was taken in went through"


async def test_a_second_signal_ends_a_drain_at_once() -> None:
    stuck = Stuck()
    topology = feeding(stuck)
    ending = await interrupted(topology, RunPlan(drain_seconds=1000), stuck.is_stuck, signal.SIGTERM, signal.SIGINT)
    assert ending.exit_code is ExitCode.FAILED
    assert "10 events got lost on the way" in ending.status()
    assert "a second signal ended it" in ending.status()


async def test_a_drain_that_takes_too_long_is_not_fine() -> None:
    stuck = Stuck()
    ending = await interrupted(feeding(stuck), RunPlan(drain_seconds=0.01), stuck.is_stuck, signal.SIGTERM)
    assert ending.exit_code is ExitCode.FAILED
    assert ending.status() == "10 events got lost on the way"


async def test_a_signal_while_stages_still_open_ends_the_start() -> None:
    opening = Opening()
    topology = feeding(opening)
    ending = await interrupted(topology, RunPlan(), opening.opens, signal.SIGTERM)
    assert ending.exit_code is ExitCode.FINE
    assert ending.status() == "a signal ended it before it had started"
    assert topology.state == "stopped"


async def test_a_stage_that_cannot_open_fails_the_run_with_a_sentence() -> None:
    ending = await run_until_end(feeding(Unopened()), RunPlan())
    assert ending.exit_code is ExitCode.FAILED
    assert ending.status() == "'sink' could not start: [Errno 2] No such file or directory: 'orders.db'"


async def test_a_graph_that_is_wrong_fails_the_run_with_a_sentence() -> None:
    topology = Topology("shop")
    topology.add("shelf", Shelf, subscribe_to="nobody")
    ending = await run_until_end(topology, RunPlan())
    assert ending.exit_code is ExitCode.FAILED
    assert "'nobody', which does not exist" in ending.status()


async def test_a_stage_that_no_restart_mends_fails_the_run() -> None:
    ending = await run_until_end(feeding(Crashing()), RunPlan())
    assert ending.exit_code is ExitCode.FAILED
    assert "'sink' failed again after 0 restarts" in ending.status()


async def test_events_that_failed_fail_the_run_at_its_end() -> None:
    ending = await run_until_end(feeding(Failing()), RunPlan())
    assert ending.exit_code is ExitCode.FAILED
    assert ending.status() == "10 events failed, and went no further"


async def test_signal_handlers_are_as_before_when_the_run_ends() -> None:
    before = [signal.getsignal(number) for number in HANDLED]
    await run_until_end(feeding(Shelf()), RunPlan())
    assert [signal.getsignal(number) for number in HANDLED] == before
