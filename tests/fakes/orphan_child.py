"""An OS process that runs a job until it is killed. Run as a program: `orphan_child.py FILE`."""

import asyncio
import sys

from headrace.jobs.jobs import Jobs
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.jobs.stores.sqlite_store import SqliteStore
from headrace.jobs.worker import worker


@worker(name="linger")
async def linger(number: int) -> None:
    """Say that it runs, and run on."""
    print(number, flush=True)  # noqa: T201 - the parent reads it
    await asyncio.Event().wait()


async def main(path: str) -> None:
    async with Jobs(SqliteStore(path), WorkerCatalogue([linger]), {"default": 5}):
        await linger.enqueue(1)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
