"""Processes, clocks and listeners for tests of the process runtime."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import pytest

from headrace.otp.gen_server import GenServer
from headrace.otp.process.process import Process
from headrace.otp.process.state import ProcessSettings
from headrace.otp.ref import Ref
from headrace.otp.scheduler import IDLE, MORE, Scheduler
from headrace.otp.supervision.restart import MAX_RESTARTS, MAX_SECONDS
from headrace.otp.supervision.supervisor import Supervisor
from headrace.telemetry.events import EventName, Measurements, Metadata


class Oops(Exception):
    """What a callback raises that went wrong."""


class Abort(BaseException):
    """What hardly anybody catches."""


ANYTHING = [Oops("x"), Abort("x"), KeyboardInterrupt(), SystemExit(2), GeneratorExit(), asyncio.CancelledError()]
"""One of everything that a callback may raise."""

INTERRUPTS = (KeyboardInterrupt, SystemExit)


def raising(error: BaseException) -> None:
    """Raise."""
    raise error


async def raising_later(error: BaseException) -> None:
    """Raise after a suspension."""
    await asyncio.sleep(0)
    raise error


class ManualClock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


class Script(Process[object]):
    """A process that does one step of a test's script a turn, and ends normally after the last one."""

    def __init__(self, name: str, scheduler: Scheduler, *steps: Callable[[], object]) -> None:
        super().__init__(name, object, scheduler)
        self.steps = list(steps)
        self.is_over = not steps

    def work(self) -> int:
        if self.steps:
            self.call_back(self.steps.pop(0), lambda _: None)
            return IDLE if self.is_busy else MORE
        self.exit("normal")
        return IDLE


class Probe:
    """Counts the loop's iterations from `start` to `stop`."""

    def __init__(self) -> None:
        self.iterations = 0
        self._handle: asyncio.Handle | None = None

    def start(self) -> None:
        self._handle = asyncio.get_running_loop().call_soon(self._count)

    def _count(self) -> None:
        self.iterations += 1
        self.start()

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()


class Listener:
    """Notes the crashes that telemetry tells of: the process, and the reason."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.crashes: list[tuple[object, object]] = []
        scheduler.telemetry.attach("listener", ("headrace", "process", "crash"), self._note)

    def _note(self, name: EventName, measurements: Measurements, metadata: Metadata) -> None:
        self.crashes.append((metadata["process"], metadata["reason"]))


class Gate(GenServer):
    """A server whose async callbacks wait at a gate until the test opens it."""

    def __init__(self) -> None:
        self.gate: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self.has_entered = asyncio.Event()
        self.seen: list[object] = []
        self.reasons: list[object] = []

    async def wait(self) -> object:
        """Wait at the gate; return what it was opened with."""
        self.has_entered.set()
        return await self.gate

    def note(self, what: object) -> None:
        """Note something."""
        self.seen.append(what)

    def noted(self) -> list[object]:
        """Return what was noted."""
        return list(self.seen)

    def fail(self, error: BaseException) -> None:
        """Raise."""
        raise error

    async def fail_later(self, error: BaseException) -> None:
        """Raise after a suspension."""
        await asyncio.sleep(0)
        raise error

    def terminate(self, reason: object) -> None:
        """Note why it ends."""
        self.reasons.append(reason)


SMALL: Final = ProcessSettings(mailbox_limit=2, shutdown_seconds=0)
"""Room for two casts, and no patience in a stop."""


async def start_gate(
    supervisor: Supervisor, name: str = "gate", settings: ProcessSettings = SMALL
) -> tuple[Ref[Gate], Gate]:
    """Start a Gate; return its reference, and the server itself."""
    made: list[Gate] = []

    def make() -> Gate:
        made.append(Gate())
        return made[-1]

    ref = await supervisor.start_child(make, name=name, settings=settings)
    return ref, made[0]


async def busy(ref: Ref[Gate], gate: Gate) -> None:
    """Have the server wait at its gate."""
    await ref.cast(Gate.wait)
    await gate.has_entered.wait()


@asynccontextmanager
async def supervising(
    scheduler: Scheduler | None = None, *, max_restarts: int = MAX_RESTARTS, max_seconds: float = MAX_SECONDS
) -> AsyncIterator[Supervisor]:
    """Run a supervisor while the block runs."""
    supervisor = Supervisor("supervisor", scheduler or Scheduler(), max_restarts=max_restarts, max_seconds=max_seconds)
    supervisor.start()
    await supervisor.started
    try:
        yield supervisor
    finally:
        supervisor.stop()
        await supervisor.terminated


async def hops(count: int = 10) -> None:
    """Let the loop run a few iterations."""
    for _ in range(count):
        await asyncio.sleep(0)


def said(caplog: pytest.LogCaptureFixture, level: int = logging.ERROR) -> list[str]:
    """Return the messages of headrace's records of a level."""
    return [record.getMessage() for record in caplog.records if record.name == "headrace" and record.levelno == level]
