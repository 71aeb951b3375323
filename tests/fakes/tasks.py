"""Functions for tasks, and who hears that they fail."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Final

from headrace.otp.process.task_process import FAILED
from headrace.otp.scheduler import Scheduler
from headrace.telemetry.events import EventName, Measurements, Metadata
from tests.fakes.processes import hops


async def double_later(number: int) -> int:
    """Return twice the number, after a suspension."""
    await asyncio.sleep(0)
    return number * 2


def double(number: int) -> int:
    """Return twice the number."""
    return number * 2


class Door:
    """What a task waits at until the test opens it; notes who has come, and who was cancelled."""

    def __init__(self) -> None:
        self.has_come = asyncio.Event()
        self.opened = asyncio.Event()
        self.cancelled: list[object] = []
        self.waiting: set[object] = set()

    async def pass_through(self, who: object = None) -> object:
        """Wait, and return who it was."""
        self.has_come.set()
        self.waiting.add(who)
        try:
            await self.opened.wait()
        except asyncio.CancelledError:
            self.cancelled.append(who)
            raise
        finally:
            self.waiting.discard(who)
        return who


class Numbers:
    """A source that notes how far it was pulled, and whether it was closed."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.pulled = 0
        self.is_closed = False

    def __iter__(self) -> Iterator[int]:
        try:
            for number in range(self.count):
                self.pulled += 1
                yield number
        finally:
            self.is_closed = True

    async def later(self) -> AsyncIterator[int]:
        for number in self:
            await asyncio.sleep(0)
            yield number


class Crowd:
    """Work that takes each element as many loop iterations as it says; notes how many were at work at a time."""

    def __init__(self) -> None:
        self.present = 0
        self.most = 0

    async def work(self, iterations: int) -> int:
        self.present += 1
        self.most = max(self.most, self.present)
        try:
            await hops(iterations)
        finally:
            self.present -= 1
        return iterations


class Failures:
    """Notes the failures of tasks that telemetry tells of."""

    NAME: Final = "failures"

    def __init__(self, scheduler: Scheduler) -> None:
        self.told: list[tuple[object, object]] = []
        scheduler.telemetry.attach(self.NAME, FAILED, self._note)

    def _note(self, name: EventName, measurements: Measurements, metadata: Metadata) -> None:
        self.told.append((metadata["task"], metadata["reason"]))
