"""Functions for tasks, and who hears that they fail."""

import asyncio
from typing import Final

from headrace.ground.telemetry import EventName, Measurements, Metadata
from headrace.pipeline.process.scheduler import Scheduler
from headrace.pipeline.process.task_process import FAILED


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


class Failures:
    """Notes the failures of tasks that telemetry tells of."""

    NAME: Final = "failures"

    def __init__(self, scheduler: Scheduler) -> None:
        self.told: list[tuple[object, object]] = []
        scheduler.telemetry.attach(self.NAME, FAILED, self._note)

    def _note(self, name: EventName, measurements: Measurements, metadata: Metadata) -> None:
        self.told.append((metadata["task"], metadata["reason"]))
