"""Results of long work, with an answer at once: `add` starts a task, whose result comes back by a cast.

Run it with `python examples/otp/results_at_once.py`.
"""

import asyncio
from functools import partial

from headrace import GenServer, Ref, Supervisor, TaskSupervisor
from headrace.otp import Down, Monitor


async def long_running(key: str) -> str:
    """Stand for work that takes its time."""
    await asyncio.sleep(0.1)
    if key == "bad":
        raise ValueError("nothing can be made of this one")
    return f"the result of {key}"


async def work(results: "Ref[Results]", key: str) -> None:
    """Be the task of one key. The reference stays good, whatever becomes of the server meanwhile."""
    value = await long_running(key)
    await results.cast(Results.store, key, value)


class Results(GenServer):
    """Never waits for work: it starts it, keeps what comes of it, and answers with what it has."""

    def __init__(self, tasks: TaskSupervisor, values: dict[str, str]) -> None:
        """Keep what is found in `values`; what shall survive a crash of this server is made outside of it."""
        self.tasks = tasks
        self.values = values
        self.running: dict[Monitor, str] = {}

    def add(self, key: str) -> None:
        """Start the work, unless it was done before, or is being done."""
        if key not in self.values and key not in self.running.values():
            task = self.tasks.start_child(work, self.ref, key)
            self.running[self.monitor(task.ref)] = key

    def store(self, key: str, value: str) -> None:
        """Take a result in."""
        self.values[key] = value

    def find(self, key: str) -> str | None:
        """Return a result, or None when there is none yet."""
        return self.values.get(key)

    def handle_info(self, message: object) -> None:
        """Take note that a task has ended, well or not: its key may be asked for again."""
        if isinstance(message, Down):
            self.running.pop(message.monitor, None)


async def main() -> None:
    async with Supervisor("app") as app, TaskSupervisor("tasks", app.scheduler) as tasks:
        kept: dict[str, str] = {}
        results = await app.start_child(partial(Results, tasks, kept), name="results")
        for key in ("one", "two", "bad"):
            await results.cast(Results.add, key)
        print(await results.call(Results.find, "one") or "not found")  # at once
        await asyncio.sleep(0.5)  # here the program does something else
        print(await results.call(Results.find, "one"))
        print(await results.call(Results.find, "bad") or "not found")  # its task failed, and hurt nobody


if __name__ == "__main__":
    asyncio.run(main())
