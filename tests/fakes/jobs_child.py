"""An OS process with a whole service of jobs: it enqueues, runs its queues and does the upkeep; to be killed any time.

Run as a program: `jobs_child.py FILE NOTES endless|last`. The last one enqueues nothing, and ends when no job is left
to be done by anybody.
"""

import asyncio
import os
import sys
from typing import Final

from headrace.jobs.job import INCOMPLETE
from headrace.jobs.jobs import Jobs
from headrace.jobs.maintenance import maintenance as leader
from headrace.jobs.maintenance import maintenance as upkeep
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.running import sync as rescue
from headrace.jobs.running.worker_catalogue import WorkerCatalogue
from headrace.jobs.running_job import RunningJob
from headrace.jobs.settings import JobsSettings
from headrace.jobs.stores import sqlite_store as sqlite
from headrace.jobs.worker import worker

LIMIT: Final = 10
BACKLOG: Final = 100
"""Jobs that may wait before no more are enqueued: what was enqueued is to be worked off in the end."""

BEAT_SECONDS: Final = 0.1


class Notes:
    """A file that only this process writes: I what was inserted, S what begins, E what has come to its end."""

    def __init__(self) -> None:
        self._file = -1

    def open(self, path: str) -> None:
        self._file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)

    def note(self, what: str, *ids: int) -> None:
        os.write(self._file, "".join(f"{what} {job_id}\n" for job_id in ids).encode())


NOTES: Final = Notes()


@worker(name="hop")
async def hop(job: RunningJob, turns: int) -> None:
    """Give way to others for some turns."""
    NOTES.note("S", job.id)
    for _ in range(turns):
        await asyncio.sleep(0)
    NOTES.note("E", job.id)


@worker(name="reckon", executor="thread")
def reckon(job: RunningJob, number: int) -> None:
    """Hold a thread for a moment."""
    NOTES.note("S", job.id)
    sum(range(number))
    NOTES.note("E", job.id)


def hasten() -> None:
    """Let the dead be missed soon: by the usual beats a test would take minutes."""
    vars(sqlite)["HEARTBEAT_SECONDS"] = BEAT_SECONDS
    vars(leader)["LEASE_SECONDS"] = 4 * BEAT_SECONDS
    vars(upkeep)["RENEW_SECONDS"] = BEAT_SECONDS
    vars(rescue)["RESCUE_SECONDS"] = BEAT_SECONDS


async def enqueue(jobs: Jobs) -> None:
    """Enqueue in both ways, as long as nobody kills it."""
    waiting = JobFilter(states=frozenset({"available"}))
    while True:
        for number in range(5):
            NOTES.note("I", (await hop.enqueue(number)).id)
        NOTES.note("I", *(handle.id for handle in await reckon.enqueue_many([(100,), (10_000,), (100_000,)])))
        while await jobs.store.count(waiting) > BACKLOG:  # noqa: ASYNC110 - other processes work on it, too
            await asyncio.sleep(0.01)


async def finish(jobs: Jobs) -> None:
    """Wait until nothing is left."""
    left = JobFilter(states=INCOMPLETE)
    while await jobs.store.count(left):  # noqa: ASYNC110 - nobody tells it of what others leave
        await asyncio.sleep(0.01)


async def main(path: str, notes: str, what: str) -> None:
    NOTES.open(notes)
    hasten()
    settings = JobsSettings(grace_seconds=0.0)
    async with Jobs(sqlite.SqliteStore(path), WorkerCatalogue([hop, reckon]), {"default": LIMIT}, settings) as jobs:
        await (finish(jobs) if what == "last" else enqueue(jobs))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
