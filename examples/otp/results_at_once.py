"""Results of long work, answered at once: `add` starts a task, and the task casts its result back.

Run it with `python examples/otp/results_at_once.py`.
"""

import asyncio
from functools import partial

from headrace import GenServer, Ref, Supervisor, TaskSupervisor
from headrace.otp import Down, Monitor


async def long_running(key: str) -> str:
    """Stands for work that takes time."""
    await asyncio.sleep(0.1)
    if key == "bad":
        raise ValueError("nothing can be made of this one")
    return f"the result of {key}"


async def work(results: "Ref[Results]", key: str) -> None:
    """The task of one key. The ref stays valid if the server restarts meanwhile."""
    value = await long_running(key)
    await results.cast(Results.store, key, value)


class Results(GenServer):
    """Starts work without waiting for it, stores the results, and answers with the results it has."""

    def __init__(self, tasks: TaskSupervisor, values: dict[str, str]) -> None:
        """Store results in `values`. It is made outside of this server, so it survives a crash."""
        self.tasks = tasks
        self.values = values
        self.running: dict[Monitor, str] = {}

    def add(self, key: str) -> None:
        """Start the work, unless it is done or running."""
        if key not in self.values and key not in self.running.values():
            task = self.tasks.start_child(work, self.ref, key)
            self.running[self.monitor(task.ref)] = key

    def store(self, key: str, value: str) -> None:
        """Store a result."""
        self.values[key] = value

    def find(self, key: str) -> str | None:
        """Return a result, or None if there is none yet."""
        return self.values.get(key)

    def handle_info(self, message: object) -> None:
        """Called when a task has ended: its key may be added again."""
        if isinstance(message, Down):
            self.running.pop(message.monitor, None)


async def main() -> None:
    async with Supervisor("app") as app, TaskSupervisor("tasks", app.scheduler) as tasks:
        kept: dict[str, str] = {}
        results = await app.start_child(partial(Results, tasks, kept), name="results")
        for key in ("one", "two", "bad"):
            await results.cast(Results.add, key)
        print(await results.call(Results.find, "one") or "not found")  # answers at once
        await asyncio.sleep(0.5)  # stands for other work
        print(await results.call(Results.find, "one"))
        print(await results.call(Results.find, "bad") or "not found")  # its task failed alone


if __name__ == "__main__":
    asyncio.run(main())
