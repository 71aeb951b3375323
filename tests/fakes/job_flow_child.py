"""An OS process that starts workflows, chains and batches, and runs their jobs; to be killed at any moment.

Run as a program: `job_flow_child.py FILE COUNT`. It starts COUNT of each while it runs; with 0 it goes on until nothing
is left to be done by anybody, then ends by itself.
"""

import asyncio
import sys

from headrace.jobs.flows.batch import Batch
from headrace.jobs.flows.workflow import Workflow
from headrace.jobs.job import INCOMPLETE
from headrace.jobs.jobs import Jobs
from headrace.jobs.maintenance.maintenance import AdvanceSweep
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.jobs.settings import JobsSettings
from headrace.jobs.stores import sqlite_store as sqlite
from headrace.jobs.worker import worker

BEAT_SECONDS = 0.2


@worker(name="step", record=True)
async def step(number: int) -> int:
    await asyncio.sleep(0)
    return number


@worker(name="link", chain=True)
async def link(number: int) -> None:
    await asyncio.sleep(0)


@worker(name="callback")
async def callback() -> None:
    await asyncio.sleep(0)


async def start(jobs: Jobs, number: int) -> None:
    """Start one of each."""
    flow = Workflow(f"w{number}")
    first = flow.add(step.new(0), "a")
    sides = [flow.add(step.new(side), f"b{side}", after=[first]) for side in range(3)]
    flow.add(step.new(9), "c", after=sides)
    await flow.start(jobs)
    await link.enqueue(number)
    batch = Batch(f"b{number}", on_ended=callback.new(), on_completed=callback.new(), on_failed=callback.new())
    batch.add(*(step.new(member) for member in range(3)))
    await batch.start(jobs)


async def main(path: str, count: int) -> None:
    vars(sqlite)["HEARTBEAT_SECONDS"] = BEAT_SECONDS  # with beats of 3 s a test would take minutes
    store = sqlite.SqliteStore(path)
    async with Jobs(
        store, WorkerCatalogue([step, link, callback]), {"default": 5}, JobsSettings(grace_seconds=0.0)
    ) as jobs:
        for number in range(count):
            await start(jobs, number)
        task = AdvanceSweep(store)  # whoever leads may be dead, and its lease lasts
        while await store.has(JobFilter(states=INCOMPLETE)):
            await task.run()
            await store.rescue()
            await asyncio.sleep(BEAT_SECONDS)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
