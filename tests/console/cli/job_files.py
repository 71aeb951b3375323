"""A folder with workers and a config of jobs, for tests of the command line."""

from pathlib import Path

from tests.console.cli.command import write

WORKERS = """
import asyncio
from headrace.jobs.job import Discard
from headrace.jobs.worker import worker

@worker(name="double", record=True)
async def double(number: int) -> int:
    return number * 2

@worker(name="give_up", tags=["sad"])
async def give_up(why: str) -> Discard:
    return Discard(why)

@worker(name="sleep")
async def sleep(seconds: float) -> None:
    print("asleep", flush=True)
    await asyncio.sleep(seconds)
"""

CONFIG = """
name: work
listen: off
jobs:
  store: sqlite:///work.db
  queues: {default: 5}
  modules: workers
  grace: 100ms
  cron: [{schedule: "0 3 1 1 *", worker: double, args: {number: 21}, name: yearly}]
"""

STAGES = """
stages:
  numbers: {type: generate, count: 20}
  asked: {type: enqueue_jobs, subscribe_to: numbers, worker: double, args: {number: event}}
"""


def write_files(folder: Path, stages: str = STAGES) -> None:
    """Write workers.py and work.yaml."""
    write(folder, workers_py=WORKERS, work_yaml=f"{CONFIG}{stages}")
