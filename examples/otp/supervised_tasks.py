"""Supervised tasks: work beside the caller, whose result is waited for later, and work that is done again if it fails.

Run it with `python examples/otp/supervised_tasks.py`.
"""

import asyncio
from collections.abc import Callable

from headrace import Supervisor, Task, TaskSupervisor
from headrace.errors import TaskFailed, TaskTimeout

PRICES = {"tea": 3.5, "cake": 4.0}


async def price_of(sku: str) -> float:
    """Look a price up, slowly."""
    await asyncio.sleep(0.01)
    return PRICES[sku]


async def forever() -> None:
    """Wait for what never comes."""
    await asyncio.Event().wait()


class Upload:
    """Work that goes wrong the first time."""

    def __init__(self) -> None:
        self.attempts = 0
        self.done: list[str] = []

    async def run(self, what: str) -> None:
        """Send something."""
        self.attempts += 1
        await asyncio.sleep(0)
        if self.attempts == 1:
            raise ConnectionError("nobody answers")
        self.done.append(what)


async def results(say: Callable[[str], None]) -> None:
    """Start tasks, go on with other things, and wait for each result as long as one likes."""
    async with TaskSupervisor("prices") as tasks:  # at the end of the block its tasks have ended
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
    """Have a supervisor run a task again until it has come to its end."""
    upload = Upload()
    async with Supervisor("uploads") as supervisor:
        ref = await supervisor.start_child(Task.child_spec(upload.run, "report.csv", restart="transient"))
        say(f"it ended {await ref.ended()}ly after {upload.attempts} attempts: {upload.done}")


async def main() -> None:
    await results(print)
    await again(print)


if __name__ == "__main__":
    asyncio.run(main())
