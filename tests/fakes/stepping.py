"""Runs a real scheduler step by step, and lets stages run that belong to no topology."""

import asyncio
import time
from collections.abc import Callable

from headrace.otp.process.process import ProcessStatus
from headrace.otp.scheduler import Scheduler
from headrace.pipeline.engine.stage_process import StageProcess
from headrace.pipeline.stage.consumer import Consumer
from headrace.pipeline.stage.producer import Producer
from headrace.pipeline.stage.producer_consumer import ProducerConsumer
from headrace.pipeline.stage.settings import StageSettings
from headrace.pipeline.stage.stage import Stage
from headrace.pipeline.topology.link import StageSpec, make_process
from headrace.pipeline.topology.run import Run
from headrace.pipeline.topology.topology import Topology

SETTINGS = StageSettings()


async def rest(scheduler: Scheduler) -> None:
    """Return when no process has anything to do by itself."""
    quiet = 0
    while quiet < 3:
        await asyncio.sleep(0)
        quiet = 0 if scheduler._is_scheduled else quiet + 1


async def until(condition: Callable[[], bool]) -> None:
    """Return when `condition` holds; the test's timeout is the deadline."""
    while not condition():
        await asyncio.sleep(0)
        time.sleep(0)  # noqa: ASYNC251 - no pause: threads of ours get Python's lock, which a busy loop keeps from them


def run_of(topology: Topology) -> Run:
    """Return the run behind a started topology."""
    run = topology._run
    assert run is not None
    return run


async def settled(topology: Topology) -> None:
    """Return when the stages of a topology have nothing to do by themselves."""
    await rest(run_of(topology).scheduler)


def alone(
    callbacks: Stage, scheduler: Scheduler, settings: StageSettings = SETTINGS, name: str = "stage"
) -> StageProcess:
    """Return the process of one stage, which no supervisor watches; it is not started yet."""
    assert isinstance(callbacks, Producer | ProducerConsumer | Consumer)
    return make_process(StageSpec(name, lambda: callbacks, callbacks, (), settings), scheduler)


async def started(process: StageProcess) -> None:
    """Start a process and let it run to rest."""
    process.start()
    await process.started
    assert process.state is ProcessStatus.RUNNING
    await rest(process.scheduler)
