"""Supervised tasks: tasks whose result is awaited later, and a task that runs again when it fails.

Run it with `python examples/otp/supervised_tasks.py`.
"""

import asyncio
from collections.abc import Callable

from headrace import Supervisor, Task, TaskSupervisor
from headrace.errors import TaskFailed, TaskTimeout

PRICES = {"tea": 3.5, "cake": 4.0}


async def price_of(sku: str) -> float:
    """Look up a price, slowly."""
    await asyncio.sleep(0.01)
    return PRICES[sku]


async def forever() -> None:
    """Wait for ever."""
    await asyncio.Event().wait()


class Upload:
    """Work that fails the first time."""

    def __init__(self) -> None:
        self.attempts = 0
        self.done: list[str] = []

    async def run(self, file: str) -> None:
        """Send a file."""
        self.attempts += 1
        await asyncio.sleep(0)
        if self.attempts == 1:
            raise ConnectionError("the server does not answer")
        self.done.append(file)


async def results(say: Callable[[str], None]) -> None:
    """Start tasks, and await each result with a timeout of its own."""
    async with TaskSupervisor("prices") as tasks:  # the block ends when its tasks have ended
        tea = tasks.start_child(price_of, "tea")
        rum = tasks.start_child(price_of, "rum")
        say("both prices are being looked up")
        say(f"tea is {await tea.result(timeout_seconds=5):.2f}")
        try:
            await rum.result()
        except TaskFailed as error:
            say(f"rum has no price: {error.__cause__!r}")
        endless = tasks.start_child(forever)
        try:
            await endless.result(timeout_seconds=0.01)
        except TaskTimeout:
            say("one took too long, and is cancelled")
            await endless.shutdown()


async def again(say: Callable[[str], None]) -> None:
    """Let a supervisor run a task again until it succeeds."""
    upload = Upload()
    async with Supervisor("uploads") as supervisor:
        ref = await supervisor.start_child(Task.child_spec(upload.run, "report.csv", restart="transient"))
        say(f"it ended {await ref.ended()}ly after {upload.attempts} attempts: {upload.done}")


async def main() -> None:
    await results(print)
    await again(print)


if __name__ == "__main__":
    asyncio.run(main())
