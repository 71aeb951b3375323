"""Consumer supervisors whose children do what a test says, and what is needed to watch them."""

import asyncio

from headrace.otp.scheduler import Scheduler
from headrace.pipeline.demand.window import Window
from headrace.pipeline.engine.consuming import SupervisorStep
from headrace.pipeline.stage.consumer_supervisor import ConsumerSupervisor
from headrace.pipeline.stage.settings import StageSettings
from tests.fakes.raw_ends import RawProducer
from tests.fakes.stepping import SETTINGS, alone, rest, started

IMPATIENT = StageSettings(shutdown_seconds=0.01)
"""Children that are stopped have hardly any time."""


class Held(ConsumerSupervisor[object]):
    """Children that each wait for their event's outcome: an exception to raise, or anything else to be done with."""

    def __init__(self) -> None:
        self.gates: dict[object, asyncio.Future[object]] = {}
        self.runs: list[object] = []
        self.done: list[object] = []
        self.cancelled: list[object] = []

    async def run(self, event: object) -> None:
        self.runs.append(event)
        gate = self.gates[event] = asyncio.get_running_loop().create_future()
        try:
            outcome = await gate
        except asyncio.CancelledError:
            self.cancelled.append(event)
            raise
        if isinstance(outcome, BaseException):
            raise outcome
        self.done.append(event)

    def handle_info(self, message: object) -> None:
        if isinstance(message, BaseException):
            raise message

    def open(self, event: object, outcome: object = None) -> None:
        """Let a child go on."""
        self.gates[event].set_result(outcome)


class HeldTransient(Held):
    """The same, and a child that raised is run again."""

    restart = "transient"


class Bench:
    """A consumer supervisor that no other watches, and a producer that a test works by hand."""

    def __init__(
        self, callbacks: ConsumerSupervisor[object], most: int, least: int, settings: StageSettings = SETTINGS
    ) -> None:
        process = alone(callbacks, Scheduler(), settings)
        assert isinstance(process.step, SupervisorStep)
        self.process, self.step = process, process.step
        self.producer = RawProducer("producer", process, Window(most, least))

    async def start(self) -> "Bench":
        await started(self.process)
        return self

    async def send(self, *events: object) -> None:
        self.producer.send(events)
        await rest(self.process.scheduler)

    async def rest(self) -> None:
        await rest(self.process.scheduler)

    def asks(self) -> list[str]:
        """Return what was asked for since this was last called."""
        asks, self.producer.log[:] = list(self.producer.log), []
        return asks

    async def end(self) -> None:
        """Kill what still lives."""
        self.process.kill()
        await self.process.terminated

    def discarded(self) -> dict[str, int]:
        """Return what was discarded, and why."""
        return {reason: count for reason, count in self.process.counts.discarded.items() if count}
