"""An OS process that inserts jobs, claims and ends them, and writes down what it was told; to be killed at any moment.

Run as a program: `job_child.py STORE NOTES COUNT`, the store a file or a URL of PostgreSQL. It inserts COUNT jobs
beside what it works off; with 0 it goes on until nothing is left to be done by anybody, then ends by itself.
"""

import asyncio
import os
import sys
from uuid import uuid4

from headrace.jobs.job import INCOMPLETE, AttemptCompleted, JobAck, NewJob
from headrace.jobs.rules.job_filter import JobFilter
from headrace.jobs.stores import postgres_store as postgres
from headrace.jobs.stores import sqlite_store as sqlite
from headrace.jobs.stores.store import JobStore, LeaseOwner

BEAT_SECONDS = 0.2


class Child:
    """Notes, in a file that only it writes: I what was inserted, S what begins, E what has ended for good."""

    def __init__(self, path: str, notes: str) -> None:
        for module in (postgres, sqlite):
            vars(module)["HEARTBEAT_SECONDS"] = BEAT_SECONDS  # with beats of 3 s a test would take minutes
        is_url = path.startswith("postgresql:")
        self.store: JobStore = postgres.PostgresStore(path) if is_url else sqlite.SqliteStore(path)
        self.owner = LeaseOwner("child", uuid4().hex, "default")
        self.notes = os.open(notes, os.O_CREAT | os.O_WRONLY | os.O_APPEND)

    async def run(self, count: int) -> None:
        await self.store.open()
        await asyncio.gather(self.insert(count), self.work(is_draining=not count), self.rescue(is_draining=not count))
        await self.store.close()

    def note(self, what: str, *ids: int) -> None:
        os.write(self.notes, "".join(f"{what} {job_id}\n" for job_id in ids).encode())

    async def insert(self, count: int) -> None:
        for number in range(0, count, 5):
            told = await self.store.insert([NewJob("build", {"n": number}) for _ in range(5)])
            self.note("I", *(one.id for one in told))

    async def work(self, *, is_draining: bool) -> None:
        while not is_draining or await self.is_anything_left():
            jobs = await self.store.claim(self.owner, 10)
            ids = [job.id for job in jobs]
            self.note("S", *ids)
            await self.store.acknowledge(self.owner, [JobAck(job.id, job.attempt, AttemptCompleted()) for job in jobs])
            self.note("E", *ids)
            await asyncio.sleep(0 if jobs else 0.01)

    async def is_anything_left(self) -> bool:
        return await self.store.count(JobFilter(states=INCOMPLETE)) > 0

    async def rescue(self, *, is_draining: bool) -> None:
        while not is_draining or await self.is_anything_left():
            await self.store.rescue()
            await asyncio.sleep(BEAT_SECONDS)


if __name__ == "__main__":
    asyncio.run(Child(sys.argv[1], sys.argv[2]).run(int(sys.argv[3])))
