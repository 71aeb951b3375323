"""A driver, and work for it."""

import asyncio
from collections.abc import Awaitable
from contextvars import copy_context

from headrace.clock import Clock
from headrace.otp.process.task_runner import TaskRunner
from headrace.otp.scheduler import Scheduler
from tests.fakes.processes import ManualClock, hops
from tests.fakes.stepping import until


class Runs:
    """A driver, and what it told of the work that it was given."""

    def __init__(self, clock: ManualClock | None = None) -> None:
        self.held: list[float] = []
        self.worked: list[float] = []
        self.context = copy_context()
        scheduler = Scheduler() if clock is None else Scheduler(clock=Clock(monotonic=clock))
        self.driver = TaskRunner(scheduler, self.context, "owner", self.held.append, self.worked.append)
        self.ends: list[object] = []
        self.tasks: list[object] = []

    def run(self, work: Awaitable[object]) -> None:
        self.driver.run(work, self.done)

    def done(self, result: object, error: BaseException | None) -> None:
        self.ends.append(error or result)

    async def ended(self, count: int = 1) -> list[object]:
        await until(lambda: len(self.ends) >= count)
        return self.ends

    async def close(self) -> None:
        self.driver.close()
        await hops(3)
        task = self.driver._task
        assert task is None or task.done()

    async def here(self) -> None:
        """Note which task runs this."""
        self.tasks.append(asyncio.current_task())
        await asyncio.sleep(0)
        self.tasks.append(asyncio.current_task())

    async def forever(self) -> None:
        """Wait for what never comes."""
        await asyncio.get_running_loop().create_future()

    async def stubborn(self, gate: "asyncio.Future[object]") -> object:
        """Go on whatever happens, until the gate opens."""
        while not gate.done():
            try:
                await asyncio.shield(gate)
            except asyncio.CancelledError:
                self.ends.append("ignored")
        return gate.result()


async def give(result: object) -> object:
    await asyncio.sleep(0)
    return result
