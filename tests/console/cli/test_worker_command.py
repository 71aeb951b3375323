"""`headrace worker` runs jobs without a config file."""

import asyncio
import signal
from pathlib import Path

import pytest
import typer

from headrace.console.cli.commands.worker import queues_of
from headrace.jobs.job import NewJob
from headrace.jobs.stores.store import store_of
from tests.console.cli.command import run, started, write
from tests.console.cli.job_files import WORKERS
from tests.console.cli.test_run_jobs import rows

STORE = ("--store", "sqlite:///work.db")


async def _inserted(folder: Path, queue: str) -> None:
    store = store_of(f"sqlite:///{folder}/work.db")
    await store.open()
    await store.insert([NewJob("sleep", {"seconds": 0.01}, queue)])
    await store.close()


def test_a_worker_runs_jobs_of_its_queues_until_a_signal(tmp_path: Path) -> None:
    write(tmp_path, workers_py=WORKERS)
    asyncio.run(_inserted(tmp_path, "mail"))
    with started(tmp_path, "worker", "workers", *STORE, "--queue", "mail=3", "--queue", "default") as command:
        assert command.process.stdout is not None
        assert command.process.stdout.readline() == "asleep\n"
        command.process.send_signal(signal.SIGTERM)
        code, _, err = command.end()
    assert code == 0, err
    assert "1 job completed" in err
    assert rows(tmp_path) == [("completed", 1)]


def test_a_worker_without_its_module_store_or_queue_is_refused(tmp_path: Path) -> None:
    write(tmp_path, workers_py=WORKERS)
    no_module = run(tmp_path, "worker", "shop.nothing", *STORE)
    assert no_module.returncode == 78
    assert "shop.nothing" in no_module.stderr
    assert run(tmp_path, "worker", "workers", "--store", "nonsense:").returncode == 78
    assert run(tmp_path, "worker", "workers").returncode == 2
    bad_queue = run(tmp_path, "worker", "workers", *STORE, "--queue", "mail=many")
    assert bad_queue.returncode == 2
    assert "'mail=many' names no queue: write NAME=LIMIT" in bad_queue.stderr.replace("\n", " ")


def test_a_queue_has_a_name_and_may_have_a_limit() -> None:
    assert queues_of(["mail=3", "default"]) == {"mail": 3, "default": 10}
    assert queues_of([]) == {"default": 10}
    for value in ("=3", "mail=", "mail=-1", "mail=²"):
        with pytest.raises(typer.BadParameter):
            queues_of([value])
